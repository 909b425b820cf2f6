"""The queries name what there is, and read bounded parts of it."""

import re
from importlib.resources import files

import pytest

from pmp_schema.sql import render_query
from pmp_schema.tables import view_sql
from pmp_schema.topology import TOPOLOGY

NAMES = sorted(path.name.removesuffix(".sql") for path in files("pmp_dashboard").joinpath("sql").iterdir())
# A source of rows without end to the column by which BigQuery leaves partitions out.
BOUNDS = {
    "station_status": "feed_ts",
    "station_status_unique": "feed_ts",
    "raw_events": "event_date",
    "raw_events_unique": "event_date",
    "station_features": "event_date",
    "totals_hourly": "utc_date",
}
# A deduplicating view to the columns of its window.
WINDOWS = {
    name: set(re.findall(r"\w+", window[1]))
    for dataset in TOPOLOGY.datasets.values()
    for name in dataset.views
    if (
        window := re.search(
            r"QUALIFY ROW_NUMBER\(\) OVER \(\s*PARTITION BY (.*?)\s+ORDER", view_sql(name, "p")
        )
    )
}


@pytest.mark.parametrize("name", NAMES)
def test_tables_and_views_are_those_of_the_topology(name):
    text = render_query("pmp_dashboard", name, "p")
    sources = re.findall(r"`p\.(\w+)\.(\w+)`", text)
    assert sources
    assert [TOPOLOGY.dataset_of(source).id for _, source in sources] == [dataset for dataset, _ in sources]
    assert "{" not in text


@pytest.mark.parametrize("name", NAMES)
def test_what_has_no_end_is_read_by_its_partitions(name):
    text = render_query("pmp_dashboard", name, "p")
    for source in re.findall(r"`p\.\w+\.(\w+)`", text):
        if source in BOUNDS:
            assert re.search(rf"\b{BOUNDS[source]} (>|>=|BETWEEN) ", text), source


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_on_a_view_passes_its_window(name):
    """Only what the window keeps apart can be left out before it: behind a filter on anything else all is read."""
    text = render_query("pmp_dashboard", name, "p")
    for source, filters in re.findall(
        r"FROM `p\.\w+\.(\w+)`\s+WHERE (.*?)(?=\n\)|\n[A-Z]|\Z)", text, re.DOTALL
    ):
        if source in WINDOWS:
            assert set(re.findall(r"(\w+) (?:=|[<>]=?|BETWEEN) ", filters)) <= WINDOWS[source]


@pytest.mark.parametrize("name", NAMES)
def test_no_comment_names_a_parameter(name):
    """The emulator counts those as well, and refuses the query."""
    comments = re.findall(r"--.*", render_query("pmp_dashboard", name, "p"))
    assert [comment for comment in comments if "@" in comment] == []
