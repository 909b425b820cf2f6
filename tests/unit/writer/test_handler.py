import json
from datetime import UTC, datetime

import pytest

from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_schema.errors import PublishFailed, QueueFull, Reason, SinkUnavailable
from pmp_schema.message import Message
from pmp_writer.handler import Handler
from tests.fakes.recording import RecordingPublisher, RecordingSink

NOW = datetime(2026, 1, 24, 16, 30, tzinfo=UTC)
EVENT = b'{"event_id":"e-1","station_id":"A_101","ts_iso":"2026-01-24T16:00:00Z","kind":"pickup","delta":1}'
TABLES = ("feed_snapshots", "raw_events", "station_information", "dead_letters", "events")


class Bench:
    def __init__(self):
        self.sinks = {name: RecordingSink() for name in TABLES}
        self.publisher = RecordingPublisher()
        self.handler = Handler(self.sinks, self.publisher, lambda: NOW)

    def handle(self, route, data, **attributes):
        return self.handler.handle(route, Message(data=data, message_id="7", attributes=attributes))

    def rows(self, table):
        return self.sinks[table].rows

    def published(self):
        return [
            (topic, message.data, message.attributes["pmp-reason"])
            for topic, message in self.publisher.published
        ]


@pytest.fixture
def bench():
    return Bench()


def information(stations):
    envelope = {"source": "velib", "event_type": "station_information_snapshot"}
    return json.dumps(envelope | {"payload": {"data": {"stations": stations}}}).encode()


def stations_of(data):
    return [station["station_id"] for station in json.loads(data)["payload"]["data"]["stations"]]


def test_a_good_message_is_a_row_and_nothing_is_published(bench):
    assert bench.handle("sensor-events", EVENT) == []
    assert [row["event_id"] for row in bench.rows("raw_events")] == ["e-1"]
    assert bench.publisher.published == []


def test_poison_is_a_dead_letter_and_no_row(bench):
    (letter,) = bench.handle("sensor-events", b"\xff", origin="test")
    assert (letter.reason, letter.stage, letter.source_topic) == (
        Reason.NOT_UTF8,
        "writer/sensor-events",
        "pmp-sensor-events",
    )
    assert bench.published() == [("pmp-dead-letters", b"\xff", "not_utf8")]
    assert bench.publisher.published[0][1].attributes == letter.attributes(NOW)
    assert bench.rows("raw_events") == []


@pytest.mark.parametrize("fault", [QueueFull("x"), SinkUnavailable("x")])
def test_without_the_table_the_message_comes_again(bench, fault):
    bench.sinks["raw_events"].fail_with = fault
    with pytest.raises(type(fault)):
        bench.handle("sensor-events", EVENT)
    assert bench.publisher.published == []


def test_without_the_dead_letters_poison_comes_again(bench):
    bench.publisher.fail_with = PublishFailed("x")
    with pytest.raises(PublishFailed):
        bench.handle("sensor-events", b"poison")


def test_a_refused_row_is_a_dead_letter_with_what_bigquery_said(bench):
    bench.sinks["raw_events"].rejects = lambda rows: [RejectedRow(rows[0], "bad value", Reason.ROW_REJECTED)]
    (letter,) = bench.handle("sensor-events", EVENT)
    assert (letter.reason, letter.detail) == (Reason.ROW_REJECTED, "1 of 1 rows; first: bad value")
    assert bench.published() == [("pmp-dead-letters", EVENT, "row_rejected")]


def test_refused_rows_of_a_snapshot_are_one_dead_letter_with_only_them(bench):
    bench.sinks["station_information"].rejects = lambda rows: [
        RejectedRow(rows[0], "odd", Reason.TOO_LARGE),
        RejectedRow(rows[2], "odd", Reason.TOO_LARGE),
    ]
    bench.handle("station-information", information([{"station_id": str(n)} for n in range(4)]))
    assert [row["station_id"] for row in bench.rows("station_information")] == ["1", "3"]
    ((topic, data, reason),) = bench.published()
    assert (topic, stations_of(data), reason) == ("pmp-dead-letters", ["0", "2"], "too_large")


def test_bad_stations_and_refused_rows_are_told_apart(bench):
    bench.sinks["station_information"].rejects = lambda rows: [RejectedRow(rows[1], "odd")]
    letters = bench.handle(
        "station-information", information([{"station_id": "a"}, {"station_id": None}, {"station_id": "b"}])
    )
    assert [letter.reason for letter in letters] == [Reason.STATION_INVALID, Reason.ROW_REJECTED]
    assert [stations_of(data) for _, data, _ in bench.published()] == [[None], ["b"]]
    assert [row["station_id"] for row in bench.rows("station_information")] == ["a"]


def test_a_snapshot_of_bad_stations_only_is_no_row_and_one_dead_letter(bench):
    bench.handle("station-information", information([{"station_id": ""}, {"station_id": ""}]))
    assert bench.rows("station_information") == []
    assert [reason for _, _, reason in bench.published()] == ["station_invalid"]


@pytest.mark.parametrize("data", [b"", b"\xff", EVENT])
def test_any_dead_letter_is_a_row_and_is_never_published(bench, data):
    assert bench.handle("dead-letters", data) == []
    ((row),) = bench.rows("dead_letters")
    assert (row["data"], row["reason"]) == (data, "unknown")
    assert bench.publisher.published == []


def test_a_refused_dead_letter_comes_again_and_is_never_published(bench):
    bench.sinks["dead_letters"].rejects = lambda rows: [RejectedRow(rows[0], "odd")]
    with pytest.raises(SinkUnavailable, match="dead letter refused as a row: row_rejected"):
        bench.handle("dead-letters", b"x")
    assert bench.publisher.published == []


def test_what_was_published_as_a_dead_letter_becomes_the_row_of_its_failure(bench):
    (letter,) = bench.handle("sensor-events", b"poison", origin="test")
    _, message = bench.publisher.published[0]
    bench.handle("dead-letters", message.data, **message.attributes)
    (row,) = bench.rows("dead_letters")
    assert (row["dead_letter_id"], row["reason"], row["data"]) == (letter.id, "not_json", b"poison")
    assert json.loads(row["attributes"]) == {"origin": "test"}
