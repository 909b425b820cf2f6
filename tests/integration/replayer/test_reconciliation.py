"""The reconciliation's views and queries on the BigQuery emulator."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from pmp_replayer.reconciliation import BigQueryArrivals, Reconciliation, Repeat
from pmp_replayer.verdicts import Hour
from pmp_runtime.bigquery.queries import BigQueryUnavailable, query_client
from pmp_schema.tables import table, view_sql
from pmp_schema.topology import TOPOLOGY
from tests.fakes.bigquery_emulator import bigquery_emulator
from tests.fakes.recording import RecordingPublisher

pytestmark = pytest.mark.integration

TABLES = ("feed_snapshots", "raw_events", "station_information", "dead_letters", "events")
TEN = datetime(2026, 1, 24, 10, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def arrivals(project, url, timeout_s=20):
    return BigQueryArrivals(query_client(project, url), timeout_s=timeout_s)


class Warehouse:
    """The tables of one test, and what a message leaves in them."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.arrivals = arrivals(emulator.project, emulator.rest)
        for name in TABLES:
            emulator.query(f"DELETE FROM `{emulator.project}.{table(name).id}` WHERE TRUE")

    def insert(self, name, **columns):
        kinds = {column.name: column.type for column in table(name).columns}
        values = ", ".join(literal(kinds[column], value) for column, value in columns.items())
        into = f"`{self.emulator.project}.{table(name).id}` ({', '.join(columns)})"
        self.emulator.query(f"INSERT INTO {into} VALUES ({values})")

    def counted(self, event_id, topic, at, messages, **data):
        minute = f"{at:%Y-%m-%dT%H:%M:00Z}"
        document = {"minute": minute, "messages": messages, **data}
        self.insert(
            "events", event_id=event_id, type="publisher.counted", subject=topic, time=at, data=document
        )

    def snapshot(self, message_id, at, event_id=None):
        self.insert(
            "feed_snapshots",
            event_id=event_id or f"e-{message_id}",
            system_id="velib",
            event_type="station_status_snapshot",
            ingest_ts=at,
            message_id=message_id,
            publish_ts=at,
        )

    def sensor_event(self, message_id, at, event_id, station="s-1"):
        self.insert(
            "raw_events",
            event_id=event_id,
            city_id="paris",
            station_id=station,
            ts_iso=at,
            kind="pickup",
            delta=1,
            event_date=TEN.date(),
            ingest_ts=at,
            message_id=message_id,
            publish_ts=at,
        )

    def station(self, message_id, at, station):
        self.insert(
            "station_information",
            system_id="velib",
            station_id=station,
            ingest_ts=at,
            event_id=f"e-{message_id}",
            message_id=message_id,
            publish_ts=at,
        )

    def dead_letter(self, message_id, published, topic, given_up=None, dead_letter_id=None):
        self.insert(
            "dead_letters",
            dead_letter_id=dead_letter_id or f"dl-{message_id}",
            reason="schema",
            source_topic=topic,
            original_message_id=message_id,
            original_publish_ts=published,
            dead_lettered_ts=given_up or published,
        )

    def hours(self, since=TEN - 24 * HOUR):
        rows = sorted(self.arrivals.hours(since), key=lambda hour: (hour.topic, hour.hour))
        return [row for row in rows if row.topic != "pmp-dead-letters"]

    def view(self, columns, topic):
        sql = (
            f"SELECT {columns} FROM `{self.emulator.project}.pmp_ops.reconciliation` WHERE topic = '{topic}'"
        )
        return self.emulator.query(sql)


def literal(kind, value):
    if kind == "TIMESTAMP":
        return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S.%f}+00'"
    if kind == "JSON":
        return f"JSON '{json.dumps(value)}'"
    if kind == "INTEGER":
        return str(value)
    return f"{'DATE ' if kind == 'DATE' else ''}'{value}'"


@pytest.fixture(scope="module")
def emulator():
    with bigquery_emulator() as running:
        for dataset in sorted({table(name).dataset for name in TABLES}):
            running.create_dataset(dataset)
        for name in TABLES:
            running.create_table(table(name), name)
        for name in ("arrivals", "reconciliation"):
            reference = {"projectId": running.project, "datasetId": "pmp_ops", "tableId": name}
            view = {"query": view_sql(name, running.project), "useLegacySql": False}
            running.call("/datasets/pmp_ops/tables", {"tableReference": reference, "view": view})
        yield running


@pytest.fixture
def warehouse(emulator):
    return Warehouse(emulator)


def an_hour(topic, at=TEN, *, published=0, rows=0, dead_letters=0, duplicates=0, edge=0):
    return Hour(
        topic=topic,
        hour=at.replace(minute=0, second=0, microsecond=0),
        published=published,
        rows=rows,
        dead_letters=dead_letters,
        duplicates=duplicates,
        edge=edge,
    )


def test_topics_of_the_views_are_those_of_the_topology():
    named = set(re.findall(r"'(pmp-[a-z-]+)'", view_sql("arrivals", "p") + view_sql("reconciliation", "p")))
    assert named == {topic.id for topic in TOPOLOGY.topics.values()}


def test_rows_and_dead_letters_add_up_to_what_was_counted(warehouse):
    warehouse.counted("c-1", "pmp-events", TEN, 2)
    warehouse.counted("c-2", "pmp-events", TEN + timedelta(minutes=1), 1)
    warehouse.snapshot("m-1", TEN)
    warehouse.snapshot("m-2", TEN)
    warehouse.dead_letter("m-3", TEN, "pmp-events")
    assert warehouse.hours() == [an_hour("pmp-events", published=3, rows=2, dead_letters=1)]
    assert warehouse.view("missing, surplus", "pmp-events") == [["0", "0"]]


def test_a_count_that_was_delivered_twice_counts_once(warehouse):
    for _ in range(2):
        warehouse.counted("c-1", "pmp-events", TEN, 2)
    warehouse.counted("c-2", "pmp-events", TEN, 2)  # the same minute of another process
    assert warehouse.hours() == [an_hour("pmp-events", published=4)]
    assert warehouse.view("missing, surplus", "pmp-events") == [["4", "0"]]


def test_a_redelivery_belongs_to_the_hour_of_its_publish(warehouse):
    warehouse.counted("c-1", "pmp-sensor-events", TEN, 1)
    warehouse.sensor_event("m-1", TEN, "e-1")
    # Appended again two hours later: the publish time is that of the message.
    warehouse.sensor_event("m-1", TEN, "e-1")
    assert warehouse.hours() == [an_hour("pmp-sensor-events", published=1, rows=1)]


def test_an_event_published_again_is_a_duplicate_in_the_later_hour(warehouse):
    warehouse.counted("c-1", "pmp-sensor-events", TEN, 1)
    warehouse.sensor_event("m-1", TEN, "e-1")
    warehouse.sensor_event("m-2", TEN + HOUR, "e-1")
    warehouse.sensor_event("m-3", TEN + HOUR, "e-1", station="another")
    assert warehouse.hours() == [
        an_hour("pmp-sensor-events", published=1, rows=1),
        an_hour("pmp-sensor-events", TEN + HOUR, rows=2, duplicates=1),
    ]
    assert sorted(warehouse.view("missing, surplus", "pmp-sensor-events")) == [["0", "0"], ["0", "1"]]


def test_a_dead_letter_given_up_later_belongs_to_the_hour_of_its_publish(warehouse):
    warehouse.counted("c-1", "pmp-events", TEN, 1)
    for attempt in range(2):  # given up twice: the acknowledgement of the first was lost
        warehouse.dead_letter("m-1", TEN, "pmp-events", given_up=TEN + (2 + attempt) * HOUR)
    assert warehouse.hours() == [an_hour("pmp-events", published=1, dead_letters=1)]


def test_partly_rejected_station_information_counts_once(warehouse):
    warehouse.counted("c-1", "pmp-station-info", TEN, 1)
    for _ in range(2):
        for station in ("a", "b"):
            warehouse.station("m-1", TEN, station)
    for reason in ("first", "second"):
        warehouse.dead_letter("m-1", TEN, "pmp-station-info", dead_letter_id=f"dl-{reason}")
    assert warehouse.hours() == [an_hour("pmp-station-info", published=1, rows=1)]


def test_the_same_message_id_of_another_topic_is_another_message(warehouse):
    warehouse.snapshot("7", TEN)
    warehouse.dead_letter("7", TEN, "pmp-sensor-events")
    assert warehouse.hours() == [
        an_hour("pmp-events", rows=1),
        an_hour("pmp-sensor-events", dead_letters=1),
    ]


def test_a_message_id_that_begins_again_is_another_message(warehouse):
    """As the ids of an emulator that was started anew; the tables are those of before."""
    warehouse.counted("c-1", "pmp-events", TEN, 1)
    warehouse.counted("c-2", "pmp-events", TEN + HOUR, 2)
    warehouse.snapshot("1", TEN)
    warehouse.snapshot("1", TEN + HOUR, event_id="e-later")
    warehouse.dead_letter("1", TEN + HOUR + timedelta(minutes=1), "pmp-events")
    assert warehouse.hours() == [
        an_hour("pmp-events", published=1, rows=1),
        an_hour("pmp-events", TEN + HOUR, published=2, rows=1, dead_letters=1),
    ]


def test_an_outside_publisher_shows_as_surplus(warehouse):
    warehouse.counted("c-1", "pmp-events", TEN, 1)
    warehouse.snapshot("m-1", TEN)
    warehouse.snapshot("m-outside", TEN)
    assert warehouse.view("missing, surplus", "pmp-events") == [["0", "1"]]


def test_dead_letters_are_a_topic_of_their_own(warehouse):
    """A redelivered one has the time of the first delivery; one that is published again has a later time."""
    warehouse.counted("c-1", "pmp-dead-letters", TEN, 2)
    for given_up in (TEN, TEN, TEN + timedelta(minutes=1)):
        warehouse.dead_letter("m-1", TEN - HOUR, "pmp-events", given_up=given_up)
    assert warehouse.view("published, rows_, duplicates, missing, surplus", "pmp-dead-letters") == [
        ["2", "2", "1", "0", "0"]
    ]


def test_dead_letters_of_topics_that_nobody_counts_are_left_out(warehouse):
    warehouse.dead_letter("m-1", TEN, "pmp-ops-events")
    assert warehouse.hours() == []


def test_foreign_counts_break_nothing(warehouse):
    warehouse.counted("c-1", "pmp-events", TEN, "many")
    warehouse.counted("c-2", "pmp-events", TEN, 1, minute="soon")
    warehouse.counted("c-3", "pmp-events", TEN, -5)
    warehouse.insert("events", event_id="c-4", type="publisher.counted", time=TEN)
    assert warehouse.hours() == []


def test_rows_without_a_message_are_left_out(warehouse):
    warehouse.insert(
        "raw_events",
        event_id="e",
        city_id="paris",
        station_id="s",
        ts_iso=TEN,
        kind="pickup",
        delta=1,
        event_date=TEN.date(),
        ingest_ts=TEN,
    )
    assert warehouse.hours() == []


def test_last_seconds_of_an_hour_are_its_edge(warehouse):
    end = TEN.replace(minute=59)
    for second in (44.9, 45, 59.9):
        warehouse.snapshot(f"m-{second}", end + timedelta(seconds=second))
    assert warehouse.hours() == [an_hour("pmp-events", rows=3, edge=2)]


def test_a_check_finds_what_is_missing_and_what_came_twice(warehouse):
    warehouse.counted("c-0", "pmp-events", TEN - 5 * HOUR, 9)
    warehouse.counted("c-1", "pmp-events", TEN, 3)
    warehouse.snapshot("m-1", TEN, "e-1")
    warehouse.snapshot("m-2", TEN, "e-1")
    warehouse.snapshot("m-2", TEN, "e-1")
    reconciliation = Reconciliation(warehouse.arrivals, RecordingPublisher(), service="s")
    found = reconciliation.check(TEN, TEN + 3 * HOUR, ids=True)
    assert (found.missing, len(found.verdicts)) == (1, 1)
    assert found.repeats == [
        Repeat(
            topic="pmp-events",
            publish_ts=TEN,
            message_id="m-2",
            event="e-1",
            deliveries=2,
            published_again=True,
        )
    ]


def test_a_project_without_the_views_is_told_what_to_run(emulator):
    with pytest.raises(BigQueryUnavailable, match="pmpctl tables apply"):
        arrivals("pmp-empty", emulator.rest).hours(TEN)


def test_an_absent_bigquery_is_unavailable_in_bounded_time():
    with pytest.raises(BigQueryUnavailable, match=r"^BigQuery: hours: ConnectionError$"):
        arrivals("pmp-test", "http://127.0.0.1:1", timeout_s=0.2).hours(TEN)
