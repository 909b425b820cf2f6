"""Names that queries share with the code that publishes them."""

import re
from importlib.resources import files
from pathlib import PurePath

import pytest

from pmp_replayer.audit import LETTERS
from pmp_replayer.decision import REPLAY_ID
from pmp_schema.sql import render_query
from pmp_schema.topology import TOPOLOGY

SQL = [PurePath(path.name) for path in files("pmp_replayer").joinpath("sql").iterdir()]


def test_queries_name_the_attribute_and_the_event_as_they_are_published():
    assert f'"{REPLAY_ID}"' in render_query("pmp_replayer", "came_back", "p")
    assert f"type = '{LETTERS}'" in render_query("pmp_replayer", "letters", "p")
    assert f"type = '{LETTERS}'" in render_query("pmp_replayer", "list", "p")


@pytest.mark.parametrize("name", sorted(path.stem for path in SQL))
def test_tables_and_views_are_those_of_the_topology(name):
    sources = re.findall(r"`p\.(\w+)\.(\w+)`", render_query("pmp_replayer", name, "p"))
    assert sources
    assert [TOPOLOGY.dataset_of(source).id for _, source in sources] == [dataset for dataset, _ in sources]
    assert "{" not in render_query("pmp_replayer", name, "p")
