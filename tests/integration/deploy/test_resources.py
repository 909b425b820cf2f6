import time
from datetime import timedelta

import pytest
from google.cloud import bigquery

from pmp_schema.tables import table
from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from pmpctl.project import changes, resources

pytestmark = pytest.mark.integration

ALWAYS = [s for s in TOPOLOGY.subscriptions if s.mode == "always"]
PUSHED = [s for s in ALWAYS if s.push_path is not None]


def prepare(clients, url="http://127.0.0.1:9"):
    return resources.prepare_project(clients, TOPOLOGY, location="EU", push_url=url)


def subscription(clients, wanted):
    return clients.subscriber.get_subscription(subscription=wanted.path(clients.bigquery.project), timeout=5)


def query(clients, sql):
    # Not query_and_wait: with the emulator, a query that failed has no rows there.
    job = clients.bigquery.query(sql, timeout=20, retry=changes.RETRY, job_retry=None)
    return [tuple(row) for row in job.result(timeout=20, retry=changes.RETRY, job_retry=None)]


def test_second_run_changes_nothing(clients):
    first = prepare(clients)
    assert {c.kind for c in first} == {"created"}
    tables = sum(len(d.tables) + len(d.views) + 1 for d in TOPOLOGY.datasets.values())
    assert len(first) == tables + len(TOPOLOGY.topics) + len(ALWAYS)
    assert prepare(clients) == ()


def test_subscriptions_have_endpoint_deadline_and_policies_but_no_retry_policy(clients):
    prepare(clients, "http://127.0.0.1:8082/")
    dead_letters = TOPOLOGY.topics["dead-letters"].path(clients.bigquery.project)
    for wanted in ALWAYS:
        made = subscription(clients, wanted)
        policy = made.dead_letter_policy
        assert (made.push_config.push_endpoint, made.ack_deadline_seconds) == (
            f"http://127.0.0.1:8082{wanted.push_path}" if wanted.push_path else "",
            TOPOLOGY.push_policy.ack_deadline_s,
        )
        assert made.message_retention_duration == timedelta(seconds=wanted.retention_s)
        assert "retry_policy" not in made
        assert not made.expiration_policy.ttl
        assert (policy.dead_letter_topic, policy.max_delivery_attempts) == (
            (dead_letters, 100) if wanted.dead_letter else ("", 0)
        )


def test_moved_writer_moves_every_push_endpoint(clients):
    prepare(clients, "http://127.0.0.1:8082")
    moved = prepare(clients, "http://127.0.0.1:9092")
    assert [(c.kind, c.what) for c in moved] == [
        ("changed", f"subscription {s.id}: push_config") for s in PUSHED
    ]
    endpoints = {subscription(clients, s).push_config.push_endpoint for s in PUSHED}
    assert endpoints == {f"http://127.0.0.1:9092{s.push_path}" for s in PUSHED}


def test_tables_have_partition_clustering_and_json_columns(clients):
    prepare(clients)
    made = clients.bigquery.get_table("pmp_raw.raw_events", timeout=5, retry=changes.RETRY)
    assert made.time_partitioning.field == "event_date"
    assert made.clustering_fields == ["city_id", "station_id"]
    assert {f.name: (f.field_type, f.mode) for f in made.schema} == {
        c.name: (c.type, c.mode) for c in table("raw_events").columns
    }


@pytest.mark.parametrize(
    "view", [f"{d.id}.{v}" for d in TOPOLOGY.datasets.values() for v in d.views], ids=lambda v: v
)
def test_view_can_be_queried(clients, view):
    prepare(clients)
    assert query(clients, f"SELECT * FROM `{clients.bigquery.project}.{view}`") == []


def test_unique_view_keeps_the_first_ingested_row(clients):
    prepare(clients)
    path = f"{clients.bigquery.project}.pmp_raw"
    for message, second in (("late", 9), ("first", 1)):
        query(
            clients,
            f"INSERT INTO `{path}.raw_events` "
            "(event_id, city_id, station_id, ts_iso, kind, delta, event_date, ingest_ts, message_id) VALUES "
            f"('e', 'paris', 's', TIMESTAMP '2026-01-02', 'pickup', 1, DATE '2026-01-02', "
            f"TIMESTAMP '2026-01-02 00:00:0{second}', '{message}')",
        )
    assert query(clients, f"SELECT message_id FROM `{path}.raw_events_unique`") == [("first",)]


def test_changed_view_text_replaces_the_old_one(clients):
    prepare(clients)
    client = clients.bigquery
    view = bigquery.Table(f"{client.project}.pmp_raw.raw_events_unique")
    view.view_query = f"SELECT 1 AS old FROM `{client.project}.pmp_raw.raw_events`"
    client.update_table(view, ["view_query"], timeout=5, retry=changes.RETRY)
    prepare(clients)
    assert query(clients, f"SELECT event_id FROM `{view.reference}`") == []


def test_older_table_gets_the_missing_columns_and_keeps_its_rows(clients):
    client = clients.bigquery
    client.create_dataset(f"{client.project}.pmp_raw", timeout=5, retry=changes.RETRY)
    old = bigquery.Table(f"{client.project}.pmp_raw.raw_events")
    old.schema = [bigquery.SchemaField("event_id", "STRING"), bigquery.SchemaField("delta", "INTEGER")]
    client.create_table(old, timeout=5, retry=changes.RETRY)
    query(clients, f"INSERT INTO `{old.reference}` (event_id, delta) VALUES ('e-1', 2)")

    first = prepare(clients)
    second = prepare(clients)

    assert [c.kind for c in first if "pmp_raw.raw_events:" in c.what] == ["changed", "differs", "differs"]
    assert {c.kind for c in second} == {"differs"}
    query(
        clients,
        f"INSERT INTO `{old.reference}` (event_id, delta, city_id, extra) VALUES ('e-2', 1, 'paris', JSON '[1]')",
    )
    rows = query(clients, f"SELECT event_id, delta, city_id, extra FROM `{old.reference}` ORDER BY event_id")
    assert rows == [("e-1", 2, None, None), ("e-2", 1, "paris", [1])]


def test_absent_bigquery_is_given_up_in_bounded_time(emulators):
    # google-cloud-bigquery alone would try for 600 s; the test's own time-out is 120 s.
    absent = resources.connect(
        "pmp-local", pubsub_emulator=emulators.pubsub, bigquery_emulator="http://127.0.0.1:1"
    )
    began = time.monotonic()
    with pytest.raises(CommandError, match=r"^BigQuery: .*[^\n]$"):
        prepare(absent)
    assert time.monotonic() - began < 60
