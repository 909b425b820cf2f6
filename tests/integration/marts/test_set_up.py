"""Materialized views are created in BigQuery, and have the same rows as the plain views of the emulator."""

import json
from datetime import UTC, datetime

import pytest

from pmp_schema.tables import view_sql
from pmp_schema.topology import TOPOLOGY
from pmpctl.project.tables import prepare_tables
from tests.fakes.bigquery_tables import bigquery_tables

pytestmark = pytest.mark.integration

MATERIALIZED = {
    f"{dataset.id}.{name}": stored
    for dataset in TOPOLOGY.datasets.values()
    for name, stored in dataset.materialized.items()
}


@pytest.fixture
def cloud():
    with bigquery_tables() as running:
        yield running


def prepare(cloud, **options):
    made = prepare_tables(cloud.client, TOPOLOGY, location="EU", emulated=False, **options)
    return [str(change) for change in made]


def test_a_dry_run_tells_what_a_run_would_do_and_makes_nothing(cloud):
    planned = prepare(cloud, dry_run=True)
    assert (cloud.datasets, cloud.tables) == (set(), {})
    assert prepare(cloud) == planned
    column = cloud.tables["pmp_raw.raw_events"]["schema"]["fields"].pop()["name"]
    cloud.tables["pmp_raw.systems_seen"]["materializedView"]["query"] = "SELECT 1"
    before = json.dumps(cloud.tables)
    told = [f"changed  table pmp_raw.raw_events: added {column}", "changed  view pmp_raw.systems_seen"]
    assert sorted(prepare(cloud, dry_run=True)) == told
    assert json.dumps(cloud.tables) == before


def test_materialized_views_are_made_as_such(cloud):
    prepare(cloud)
    made = {name: table for name, table in cloud.tables.items() if "materializedView" in table}
    assert made.keys() == MATERIALIZED.keys()
    for name, view in made.items():
        assert view["materializedView"]["query"] == view_sql(name.split(".")[1], cloud.client.project)
        assert view["clustering"] == {"fields": ["system_id"]}
        assert "view" not in view
    partitions = {name: view["timePartitioning"]["field"] for name, view in made.items()}
    assert partitions == {"pmp_curated.feed_polls_unique": "feed_ts", "pmp_raw.systems_seen": "seen_day"}
    assert prepare(cloud) == []


def test_a_materialized_view_of_another_text_is_made_anew_and_nothing_else_is_deleted(cloud):
    prepare(cloud)
    cloud.tables["pmp_raw.systems_seen"]["materializedView"]["query"] = "SELECT 1"
    assert prepare(cloud) == ["changed  view pmp_raw.systems_seen"]
    assert cloud.deleted == ["pmp_raw.systems_seen"]
    assert prepare(cloud) == []


@pytest.mark.parametrize("name", ["pmp_raw.systems_seen", "pmp_marts.latest_state"])
def test_a_table_with_a_views_name_is_reported_and_kept(cloud, name):
    prepare(cloud)
    cloud.tables[name] = {"type": "TABLE"}
    for dry_run in (True, False):
        assert prepare(cloud, dry_run=dry_run) == [f"differs  view {name}: a table has this name"]
    assert (cloud.deleted, cloud.tables[name]) == ([], {"type": "TABLE"})


@pytest.mark.parametrize("name", MATERIALIZED)
def test_a_materialized_view_has_the_rows_of_its_text(marts, name):
    at = datetime(2026, 1, 24, 10, tzinfo=UTC)
    marts.insert("feed_snapshots", {"ingest_ts": at, "attributes": {"ce-cityid": "paris"}}, {"ingest_ts": at})
    marts.insert("feed_polls", {"feed_ts": at, "bikes": 3}, {"feed_ts": at, "bikes": 3})
    copy = f"`{marts.client.project}.{name}_copy`"
    marts.query(f"CREATE MATERIALIZED VIEW {copy} AS {view_sql(name.split('.')[1], marts.client.project)}")
    stored = marts.query(f"SELECT * FROM {copy} WHERE system_id = '{marts.system}'")
    plain = marts.view(name.split(".")[1])
    assert stored
    assert sorted(map(rendered, stored)) == sorted(map(rendered, plain))


def rendered(row):
    return json.dumps(row, default=str, sort_keys=True)
