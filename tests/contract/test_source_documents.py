"""The guide to the two source documents has a row for whatever they name."""

import re
from pathlib import Path

import pytest

from pmp_schema.topology import TOPOLOGY
from tests.contract.terraform.test_permissions import GRANTS

GUIDE = (Path(__file__).parents[2] / "docs/13-source-documents.md").read_text("utf-8")

NAMES = [
    line
    for line in Path(__file__).with_name("source_documents.txt").read_text("utf-8").splitlines()
    if not line.startswith("# ")
]


def rows():
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in GUIDE.splitlines()
        if line[:2] == "| "
    ]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_documents_name_has_a_row(name):
    begin = r"(?<![\w./~-])" if name[0].isalnum() or name[0] in "/~-" else ""
    end = r"(?![\w-])" if name[-1].isalnum() else ""
    assert re.search(begin + re.escape(name) + end, "\n".join(row[0] for row in rows()))


def test_the_bill_of_materials_is_that_of_the_topology():
    here = {row[0]: row[2:] for row in rows() if len(row) == 4}
    default = [s for s in TOPOLOGY.subscriptions if s.mode == "always"]
    datasets = TOPOLOGY.datasets.values()
    counts = {
        "pubsub (topics)": len(TOPOLOGY.topics),
        "subscriptions": len(default),
        "dataset": len(datasets),
        "tables": sum(len(dataset.tables) for dataset in datasets),
        "service accounts": sum("@" not in account for account in GRANTS),
        "cloud scheduler": len(TOPOLOGY.schedules_of("sql")),
    }
    assert {name: int(here[name][0]) for name in counts} == counts
    assert here["subscriptions"][1].startswith(f"{len(TOPOLOGY.subscriptions)} with")
    views = sum(len(dataset.views) for dataset in datasets)
    materialized = sum(len(dataset.materialized) for dataset in datasets)
    assert here["tables"][1] == f"and {views} views, {materialized} of them materialized"
    assert here["cloud function"][1].startswith(f"{len(TOPOLOGY.services)} Cloud Run services")
