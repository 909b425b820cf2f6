"""The reconciliation's views and queries on the BigQuery emulator."""

import itertools
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from pmp_replayer.reconciliation import Arrivals, Reconciliation, Repeat
from pmp_replayer.verdicts import Hour
from pmp_runtime.bigquery.queries import BigQueryUnavailable, query_client
from pmp_schema.tables import table, view_sql
from pmp_schema.topology import TOPOLOGY
from tests.fakes.bigquery_emulator import bigquery_emulator
from tests.fakes.recording import RecordingPublisher

pytestmark = pytest.mark.integration

TABLES = ("feed_snapshots", "raw_events", "station_information", "dead_letters", "events")
TEN = datetime(2026, 1, 24, 10, 5, tzinfo=UTC)
ELEVEN = TEN + timedelta(hours=1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SNAPSHOTS, SENSORS, STATIONS, DEAD = "pmp-events", "pmp-sensor-events", "pmp-station-info", "pmp-dead-letters"
new_ids = map("id-{}".format, itertools.count())


def counted(topic, messages, at=TEN, *, event_id=None, minute=None):
    """The event of a publisher whose messages were confirmed."""
    data = {"minute": minute or f"{at:%Y-%m-%dT%H:%M:00Z}", "messages": messages}
    event = {"event_id": event_id or next(new_ids), "type": "publisher.counted", "subject": topic}
    return "events", event | {"time": at, "data": data}


def snapshot(message_id, at=TEN, event_id=None):
    row = {"event_id": event_id or f"e-{message_id}", "event_type": "station_status_snapshot"}
    return "feed_snapshots", row | {"system_id": "velib"} | delivered(message_id, at)


def sensor_event(message_id, at=TEN, event_id="e-1", station="s-1"):
    row = {"event_id": event_id, "city_id": "paris", "station_id": station, "ts_iso": at}
    row |= {"kind": "pickup", "delta": 1, "event_date": TEN.date()}
    return "raw_events", row | delivered(message_id, at)


def station(message_id, name):
    row = {"system_id": "velib", "station_id": name, "event_id": f"e-{message_id}"}
    return "station_information", row | delivered(message_id, TEN)


def delivered(message_id, at):
    message = {"message_id": message_id, "publish_ts": at} if message_id else {}
    return {"ingest_ts": at} | message


def dead_letter(message_id, topic, published=TEN, *, given_up=None, dead_letter_id=None):
    return "dead_letters", {
        "dead_letter_id": dead_letter_id or f"dl-{message_id}",
        "reason": "schema",
        "source_topic": topic,
        "original_message_id": message_id,
        "original_publish_ts": published,
        "dead_lettered_ts": given_up or published,
    }


def an_hour(topic, at=TEN, **numbers):
    return Hour(topic=topic, hour=at.replace(minute=0, second=0, microsecond=0), **numbers)


class Tables:
    """The tables of one test."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.arrivals = arrivals(emulator.project, emulator.rest)
        for name in TABLES:
            emulator.query(f"DELETE FROM `{emulator.project}.{table(name).id}` WHERE TRUE")

    def insert(self, *rows):
        for name, columns in rows:
            kinds = {column.name: column.type for column in table(name).columns}
            values = ", ".join(literal(kinds[column], value) for column, value in columns.items())
            into = f"`{self.emulator.project}.{table(name).id}` ({', '.join(columns)})"
            self.emulator.query(f"INSERT INTO {into} VALUES ({values})")

    def hours(self):
        return sorted(self.arrivals.hours(TEN - 24 * HOUR), key=lambda hour: (hour.topic, hour.hour))

    def differences(self):
        """Missing and surplus messages of each hour, by the view itself."""
        view = f"`{self.emulator.project}.pmp_ops.reconciliation`"
        found = self.emulator.query(f"SELECT missing, surplus FROM {view} ORDER BY topic, hour")
        return [tuple(map(int, row)) for row in found]


def arrivals(project, url, timeout_s=20):
    return Arrivals(query_client(project, url), timeout_s=timeout_s)


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
def stored(emulator):
    return Tables(emulator)


def test_topics_of_the_views_are_those_of_the_topology():
    named = set(re.findall(r"'(pmp-[a-z-]+)'", view_sql("arrivals", "p") + view_sql("reconciliation", "p")))
    assert named == {topic.id for topic in TOPOLOGY.topics.values()}


CASES = {
    "rows and dead letters add up to the counts": (
        [
            counted(SNAPSHOTS, 2),
            counted(SNAPSHOTS, 1, TEN + MINUTE),
            snapshot("m-1"),
            snapshot("m-2"),
            dead_letter("m-3", SNAPSHOTS),
        ],
        [an_hour(SNAPSHOTS, published=3, rows=2, dead_letters=1)],
        [(0, 0)],
    ),
    "a count that was delivered twice counts once, another process counts too": (
        [*[counted(SNAPSHOTS, 2, event_id="c-1")] * 2, counted(SNAPSHOTS, 2)],
        [an_hour(SNAPSHOTS, published=4)],
        [(4, 0)],
    ),
    "a redelivery belongs to the hour of its publish": (
        [counted(SENSORS, 1), sensor_event("m-1"), sensor_event("m-1")],
        [an_hour(SENSORS, published=1, rows=1)],
        [(0, 0)],
    ),
    "an event that is published again is a duplicate in the later hour": (
        [
            counted(SENSORS, 1),
            sensor_event("m-1"),
            sensor_event("m-2", ELEVEN),
            sensor_event("m-3", ELEVEN, station="another"),
        ],
        [an_hour(SENSORS, published=1, rows=1), an_hour(SENSORS, ELEVEN, rows=2, duplicates=1)],
        [(0, 0), (0, 1)],
    ),
    "a dead letter belongs to the hour of its publish, even if it was given up twice and later": (
        [
            counted(SNAPSHOTS, 1),
            *(dead_letter("m-1", SNAPSHOTS, given_up=TEN + hours * HOUR) for hours in (2, 3)),
        ],
        [an_hour(SNAPSHOTS, published=1, dead_letters=1)],
        [(0, 0)],
    ),
    "partly rejected station information counts once": (
        [
            counted(STATIONS, 1),
            *[station("m-1", "a"), station("m-1", "b")] * 2,
            *(dead_letter("m-1", STATIONS, dead_letter_id=f"dl-{n}") for n in range(2)),
        ],
        [an_hour(STATIONS, published=1, rows=1)],
        [(0, 0)],
    ),
    "the same message id in another topic is another message": (
        [snapshot("7"), dead_letter("7", SENSORS)],
        [an_hour(SNAPSHOTS, rows=1), an_hour(SENSORS, dead_letters=1)],
        [(0, 1), (0, 1)],
    ),
    "ids that start again, as after a restart of the emulator, are other messages": (
        [
            counted(SNAPSHOTS, 1),
            counted(SNAPSHOTS, 2, ELEVEN),
            snapshot("1"),
            snapshot("1", ELEVEN, event_id="e-later"),
            dead_letter("1", SNAPSHOTS, ELEVEN + MINUTE),
        ],
        [
            an_hour(SNAPSHOTS, published=1, rows=1),
            an_hour(SNAPSHOTS, ELEVEN, published=2, rows=1, dead_letters=1),
        ],
        [(0, 0), (0, 0)],
    ),
    "an outside publisher shows as surplus": (
        [counted(SNAPSHOTS, 1), snapshot("m-1"), snapshot("m-outside")],
        [an_hour(SNAPSHOTS, published=1, rows=2)],
        [(0, 1)],
    ),
    "dead letters of topics that are not counted, foreign counts, rows without a message": (
        [
            dead_letter("m-1", "pmp-ops-events"),
            counted(SNAPSHOTS, "many"),
            counted(SNAPSHOTS, 1, minute="soon"),
            counted(SNAPSHOTS, -5),
            ("events", {"event_id": "c-4", "type": "publisher.counted", "time": TEN}),
            sensor_event(None),
        ],
        [],
        [],
    ),
    "the last seconds of an hour are its edge": (
        [
            snapshot(f"m-{second}", TEN.replace(minute=59) + timedelta(seconds=second))
            for second in (44.9, 45, 59.9)
        ],
        [an_hour(SNAPSHOTS, rows=3, edge=2)],
        [(0, 3)],
    ),
}


@pytest.mark.parametrize(("rows", "hours", "differences"), CASES.values(), ids=CASES)
def test_each_topic_and_hour_has_its_messages(stored, rows, hours, differences):
    stored.insert(*rows)
    # Dead letters are a topic of their own, below.
    found = zip(stored.hours(), stored.differences(), strict=True)
    of_topics = [(hour, difference) for hour, difference in found if hour.topic != DEAD]
    assert of_topics == list(zip(hours, differences, strict=True))


def test_dead_letters_are_a_topic_of_their_own(stored):
    """A redelivered one has the time of the first delivery; one that is published again has a later time."""
    times = (TEN, TEN, TEN + MINUTE)
    stored.insert(counted(DEAD, 2), *(dead_letter("m-1", SNAPSHOTS, TEN - HOUR, given_up=at) for at in times))
    found = dict(zip(stored.hours(), stored.differences(), strict=True))
    assert found[an_hour(DEAD, published=2, rows=2, duplicates=1)] == (0, 0)


def test_a_check_finds_what_is_missing_and_what_came_twice(stored):
    stored.insert(
        counted(SNAPSHOTS, 9, TEN - 5 * HOUR),
        counted(SNAPSHOTS, 3),
        *(snapshot(message_id, event_id="e-1") for message_id in ("m-1", "m-2", "m-2")),
    )
    reconciliation = Reconciliation(stored.arrivals, RecordingPublisher(), service="s")
    found = reconciliation.check(TEN, TEN + 3 * HOUR, ids=True)
    assert (found.missing, len(found.verdicts)) == (1, 1)
    repeat = {"message_id": "m-2", "event": "e-1", "deliveries": 2, "published_again": True}
    assert found.repeats == [Repeat(topic=SNAPSHOTS, publish_ts=TEN, **repeat)]


def test_a_project_without_the_views_is_told_what_to_run(emulator):
    with pytest.raises(BigQueryUnavailable, match="pmpctl tables apply"):
        arrivals("pmp-empty", emulator.rest).hours(TEN)


def test_an_absent_bigquery_is_unavailable_in_bounded_time():
    with pytest.raises(BigQueryUnavailable, match=r"^BigQuery: hours: ConnectionError$"):
        arrivals("pmp-test", "http://127.0.0.1:1", timeout_s=0.2).hours(TEN)
