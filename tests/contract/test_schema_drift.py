"""Tables that change while rows are appended: nothing is lost, nothing is restarted, BigQuery is asked seldom."""

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from pmp_runtime.bigquery.append.appender import Appender
from pmp_runtime.bigquery.append.channel import storage_write_channel, write_client
from pmp_runtime.bigquery.append.connection import connector
from pmp_runtime.bigquery.append.encoders import encoder_for
from pmp_runtime.bigquery.append.live_schema import column_reader
from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_runtime.logs import CloudJsonFormatter
from pmp_schema.errors import Reason, SinkUnavailable
from pmp_schema.message import Message
from pmp_schema.tables import Column, table
from pmp_writer.config import Config
from pmp_writer.handler import Handler
from pmp_writer.sinks import Sinks
from tests.fakes.bigquery_emulator import bigquery_emulator
from tests.fakes.recording import RecordingPublisher
from tests.fakes.storage_write import StorageWriteServer

EVENTS = table("raw_events")
PATH = "projects/p/datasets/pmp_raw/tables/raw_events"
AT = datetime(2025, 1, 2, tzinfo=UTC)
BATTERY = Column("battery", "INTEGER", "NULLABLE")


def event(name, **changes):
    return {
        "event_id": str(name),
        "city_id": "paris",
        "station_id": "16107",
        "ts_iso": AT,
        "kind": "pickup",
        "delta": 1,
        "event_date": date(2025, 1, 2),
        "source": None,
        "extra": None,
        "ingest_ts": AT,
    } | changes


def no_source(name):
    return RejectedRow(
        event(name, source="sensor"), "source: no such column in the table", Reason.SCHEMA_DRIFT
    )


def with_column(column):
    return replace(EVENTS, columns=(*EVENTS.columns, column))


def without(name):
    return replace(EVENTS, columns=tuple(column for column in EVENTS.columns if column.name != name))


def retyped(name, kind):
    columns = tuple(replace(c, type=kind) if c.name == name else c for c in EVENTS.columns)
    return replace(EVENTS, columns=columns)


class Clock:
    """Real time, and leaps."""

    def __init__(self):
        self.leapt_s = 0.0

    def __call__(self):
        return time.monotonic() + self.leapt_s

    def pass_a_minute(self):
        self.leapt_s += 60


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    with StorageWriteServer({PATH: EVENTS}) as server:
        yield server
        server.read_gate.set()


@pytest.fixture(params=["arrow", "proto"])
def appender(request, server, clock):
    channel = storage_write_channel(server.address)
    client = write_client(channel)
    appender = Appender(
        PATH,
        encoder_for(request.param, EVENTS),
        connector(client),
        read_columns=column_reader(client),
        monotonic=clock,
    )
    yield appender
    channel.close()


def append(appender, *rows):
    return appender.append(rows, timeout_s=5)


def stored(server, *names):
    return [tuple(row.get(name) for name in names) for row in server.rows(PATH)]


def test_a_column_that_an_answer_tells_of_is_filled_by_the_next_append(server, appender, caplog):
    append(appender, event(0, extra=b'{"battery":7,"x":1}'))
    server.tables[PATH] = with_column(BATTERY)
    append(appender, event(1, extra=b'{"battery":7,"x":1}'))
    append(appender, event(2, extra=b'{"battery":7,"x":1}'), event(3, extra=b'{"battery":8}'), event(4))
    assert stored(server, "event_id", "battery", "extra") == [
        ("0", None, '{"battery":7,"x":1}'),
        ("1", None, '{"battery":7,"x":1}'),
        ("2", 7, '{"x":1}'),
        ("3", 8, None),
        ("4", None, None),
    ]
    assert (server.schema_reads, server.connections) == (1, 2)
    assert [(r.message, r.added) for r in caplog.records] == [("table.schema_changed", ["battery"])]


def test_a_column_that_nothing_tells_of_is_filled_after_a_minute(server, appender, clock):
    server.announces = False
    append(appender, event(0))
    server.tables[PATH] = with_column(BATTERY)
    append(appender, event(1, extra=b'{"battery":7}'))
    clock.pass_a_minute()
    append(appender, event(2, extra=b'{"battery":7}'))
    assert stored(server, "event_id", "battery") == [("0", None), ("1", None), ("2", 7)]
    assert server.schema_reads == 2


def test_a_value_that_does_not_fit_its_new_column_stays_in_extra(server, appender):
    server.tables[PATH] = with_column(BATTERY)
    assert append(appender, event(0, extra=b'{"battery":"full"}'), event(1, extra=b'{"battery":9}')) == []
    assert stored(server, "battery", "extra") == [(None, '{"battery":"full"}'), (9, None)]


def test_a_new_column_of_a_type_that_is_not_filled_harms_nothing(server, appender):
    server.tables[PATH] = with_column(Column("battery", "NUMERIC", "NULLABLE"))
    assert append(appender, event(0, extra=b'{"battery":9}')) == []
    assert stored(server, "extra") == [('{"battery":9}',)]


def test_a_column_that_is_told_before_it_takes_values_holds_nothing_up(server, appender, clock):
    server.stale[PATH] = with_column(BATTERY)
    for number in range(3):
        assert append(appender, event(number, extra=b'{"battery":9}')) == []
    assert stored(server, "event_id", "extra") == [(str(n), '{"battery":9}') for n in range(3)]
    assert server.schema_reads == 1
    server.tables[PATH] = with_column(BATTERY)
    clock.pass_a_minute()
    assert append(appender, event(3, extra=b'{"battery":9}')) == []
    assert stored(server, "event_id", "battery")[-1] == ("3", 9)


def test_who_has_no_unknown_fields_asks_once(server, appender, clock):
    for number in range(5):
        append(appender, event(number))
        clock.pass_a_minute()
    assert (server.schema_reads, server.connections) == (1, 1)


def test_a_removed_column_rejects_the_rows_that_have_a_value_and_no_others(server, appender, clock):
    append(appender, event(0, source="sensor"))
    clock.pass_a_minute()
    server.tables[PATH] = without("source")
    assert append(appender, event(1, source="sensor"), event(2), event(3)) == [no_source(1)]
    assert append(appender, event(4), event(5, source="sensor")) == [no_source(5)]
    assert stored(server, "event_id") == [("0",), ("2",), ("3",), ("4",)]


def test_a_column_that_was_removed_a_moment_ago_is_unavailable_until_bigquery_may_be_asked(
    server, appender, clock
):
    append(appender, event(0))
    server.tables[PATH] = without("source")
    for _ in range(5):
        with pytest.raises(SinkUnavailable, match="more fields than BigQuery schema"):
            append(appender, event(1, source="sensor"), event(2))
    assert server.schema_reads == 1
    clock.pass_a_minute()
    assert append(appender, event(1, source="sensor"), event(2)) == [no_source(1)]
    assert stored(server, "event_id") == [("0",), ("2",)]


def test_a_required_column_that_is_removed_rejects_all_rows(server, appender):
    server.tables[PATH] = without("kind")
    rejects = append(appender, event(0), event(1))
    assert rejects == [
        RejectedRow(event(n), "kind: no such column in the table", Reason.SCHEMA_DRIFT) for n in range(2)
    ]
    assert server.rows(PATH) == []


def test_a_column_that_is_back_is_used_without_a_restart(server, appender, clock):
    server.tables[PATH] = without("source")
    assert append(appender, event(0, source="sensor")) == [no_source(0)]
    server.tables[PATH] = EVENTS
    clock.pass_a_minute()
    assert append(appender, event(0, source="sensor")) == []
    assert stored(server, "event_id", "source") == [("0", "sensor")]


def test_a_column_that_is_back_is_told_by_the_answer_to_other_rows(server, appender):
    server.tables[PATH] = without("source")
    append(appender, event(0))
    server.tables[PATH] = EVENTS
    append(appender, event(1))
    assert append(appender, event(2, source="sensor")) == []
    assert server.schema_reads == 1


@pytest.mark.parametrize("kind", ["INTEGER", "NUMERIC"])
def test_a_retyped_column_rejects_the_rows_that_have_a_value(server, appender, clock, kind):
    append(appender, event(0, source="sensor"))
    clock.pass_a_minute()
    server.tables[PATH] = retyped("source", kind)
    reject = RejectedRow(
        event(1, source="sensor"), f"source: STRING, but {kind} in the table", Reason.SCHEMA_DRIFT
    )
    assert append(appender, event(1, source="sensor"), event(2)) == [reject]
    server.tables[PATH] = EVENTS
    clock.pass_a_minute()
    assert append(appender, event(1, source="sensor")) == []
    assert stored(server, "event_id") == [("0",), ("2",), ("1",)]


def test_a_column_that_became_required_rejects_the_rows_without_a_value(server, appender, clock):
    required = tuple(replace(c, mode="REQUIRED") if c.name == "source" else c for c in EVENTS.columns)
    server.tables[PATH] = replace(EVENTS, columns=required)
    assert append(appender, event(0), event(1, source="sensor")) == [
        RejectedRow(event(0), "source: REQUIRED in the table", Reason.SCHEMA_DRIFT)
    ]
    server.tables[PATH] = EVENTS
    clock.pass_a_minute()
    assert append(appender, event(0)) == []


def test_a_missing_table_or_permission_is_never_a_reject_and_is_asked_about_once(server, appender):
    del server.tables[PATH]
    for _ in range(5):
        with pytest.raises(SinkUnavailable, match="NOT_FOUND"):
            append(appender, event(0))
    server.tables[PATH] = EVENTS
    server.denied = True
    for _ in range(5):
        with pytest.raises(SinkUnavailable, match="PERMISSION_DENIED"):
            append(appender, event(0))
    server.denied = False
    assert append(appender, event(0)) == []
    assert server.schema_reads == 1


def test_one_look_without_an_answer_is_no_warning_and_a_second_is(server, appender, clock, caplog):
    caplog.set_level("INFO", "pmp_runtime.bigquery.append.live_schema")
    server.denied = True
    for _ in range(2):
        with pytest.raises(SinkUnavailable):
            append(appender, event(0))
        clock.pass_a_minute()
    server.denied = False
    assert append(appender, event(0)) == []
    server.denied = True
    clock.pass_a_minute()
    assert append(appender, event(1, extra=b'{"x":1}')) == []
    told = [(r.levelname, r.cause) for r in caplog.records if r.message == "table.schema_unread"]
    assert told == [(level, "PermissionDenied") for level in ("INFO", "WARNING", "INFO")]


def test_a_bad_row_is_asked_about_once_a_minute_and_stays_a_bad_row(server, appender, clock):
    append(appender, event(99))
    server.refuse_row = lambda row: row["event_id"] == "bad"
    for number in range(3):
        assert [r.reason for r in append(appender, event("bad"), event(number))] == [Reason.ROW_REJECTED]
    assert server.schema_reads == 1
    clock.pass_a_minute()
    assert [one.row for one in append(appender, event(3), event("bad"))] == [event("bad")]
    assert server.schema_reads == 2


def test_all_who_begin_at_the_same_time_share_one_question(server, appender):
    server.tables[PATH] = without("source")
    server.read_gate.clear()
    with ThreadPoolExecutor(8) as pool:
        appends = [pool.submit(append, appender, event(n, source="sensor")) for n in range(8)]
        assert not wait(appends, timeout=0.3).done
        assert server.routing == []  # nothing is sent in a layout that may be wrong
        server.read_gate.set()
        assert [future.result() for future in appends] == [[no_source(n)] for n in range(8)]
    assert (server.schema_reads, server.requests) == (1, [])


def test_a_question_without_an_answer_leaves_time_for_the_append(server, appender):
    server.read_gate.clear()
    assert appender.append([event(0)], timeout_s=6) == []


def test_changes_under_load_lose_nothing_and_repeat_nothing(server, appender, clock):
    unsettled = threading.Semaphore(0)
    rejected: list[str] = []

    def settle(name):
        """As Pub/Sub would: again and again, until it is a row or a dead letter."""
        row = event(name, source="sensor", extra=b'{"battery":1}')
        try:
            while True:
                try:
                    rejects = appender.append([row], timeout_s=1_000)
                    break
                except SinkUnavailable:
                    time.sleep(0.002)
        finally:
            unsettled.release()
        assert {reject.reason for reject in rejects} <= {Reason.SCHEMA_DRIFT}
        rejected.extend([name] * len(rejects))

    narrow = replace(without("source"), columns=(*without("source").columns, BATTERY))
    states = [with_column(BATTERY), without("source"), EVENTS, narrow, EVENTS]
    with ThreadPoolExecutor(16) as pool:
        settling = [pool.submit(settle, f"{phase}-{n}") for phase in range(6) for n in range(150)]
        for state in states:
            for _ in range(100):
                assert unsettled.acquire(timeout=30)
            server.tables[PATH] = state
            clock.pass_a_minute()
        for future in settling:
            future.result(timeout=60)

    names = [f"{phase}-{n}" for phase in range(6) for n in range(150)]
    assert Counter(name for (name,) in stored(server, "event_id")) + Counter(rejected) == Counter(names)
    assert server.schema_reads <= 1 + len(states)


class Writer:
    """The writer's handler over the server; pushes sensor events."""

    def __init__(self, server, client, clock, encoder):
        config = Config(project="p", push_auth="none", row_encoder=encoder)
        self.sinks = Sinks(config, client, monotonic=clock)
        self.publisher = RecordingPublisher()
        self._handler = Handler(self.sinks.by_table, self.publisher, lambda: AT)

    def push(self, data, **attributes):
        message = Message(data=data, message_id="7", attributes=attributes, publish_ts=AT)
        return [letter.reason for letter in self._handler.handle("sensor-events", message)]


@pytest.fixture(params=["arrow", "proto"])
def writer(request, server, clock):
    channel = storage_write_channel(server.address)
    yield Writer(server, write_client(channel), clock, request.param)
    channel.close()


def sensor_event(**changes):
    fields = {
        "event_id": "e",
        "station_id": "A",
        "ts_iso": "2025-01-02T00:00:00Z",
        "kind": "pickup",
        "delta": 1,
    }
    return json.dumps(fields | changes).encode()


def test_a_message_that_met_a_removed_column_is_a_dead_letter_and_its_replay_a_row(server, writer, clock):
    server.tables[PATH] = without("source")
    data = sensor_event(source="sensor", battery=7)
    assert writer.push(data, origin="x") == ["schema_drift"]
    ((topic, letter),) = writer.publisher.published
    assert (topic, letter.data, letter.attributes["origin"]) == ("pmp-dead-letters", data, "x")
    assert letter.attributes["pmp-detail"].endswith("source: no such column in the table")
    server.tables[PATH] = with_column(BATTERY)
    clock.pass_a_minute()
    assert writer.push(letter.data) == []
    assert stored(server, "event_id", "source", "battery", "extra") == [("e", "sensor", 7, None)]


def unknown_fields(caplog):
    """What each log line tells: names to numbers of rows."""
    lines = [record for record in caplog.records if record.message == "fields.unknown"]
    assert all(record.table == EVENTS.id for record in lines)
    assert "secret" not in "".join(map(CloudJsonFormatter().format, lines))
    return [{told["name"]: told["count"] for told in record.counts} for record in lines]


def test_unknown_fields_are_one_log_line_a_minute(server, writer, clock, caplog):
    for changes in ({"x": "secret"}, {"b": 1, "a": "secret"}, {"a": 2, "b": 3}, {}):
        assert writer.push(sensor_event(**changes)) == []
    assert unknown_fields(caplog) == [{"x": 1}]
    clock.pass_a_minute()
    assert writer.push(sensor_event()) == []
    assert unknown_fields(caplog) == [{"x": 1}, {"a": 2, "b": 2}]


def test_a_field_that_the_table_has_a_column_for_is_not_unknown(server, writer, caplog):
    server.tables[PATH] = with_column(BATTERY)
    assert writer.push(sensor_event(battery=1, x=1)) == []
    assert unknown_fields(caplog) == [{"x": 1}]


@pytest.fixture(scope="module")
def emulator():
    with bigquery_emulator() as running:
        running.create_dataset(EVENTS.dataset)
        yield running


@pytest.mark.integration
@pytest.mark.parametrize("encoder", ["arrow", "proto"])
def test_the_emulators_new_column_is_filled_without_a_restart(emulator, clock, encoder):
    name = f"events_{encoder}"
    path = emulator.create_table(EVENTS, name)
    channel = storage_write_channel(emulator.grpc)
    client = write_client(channel)
    appender = Appender(
        path,
        encoder_for(encoder, EVENTS),
        connector(client),
        read_columns=column_reader(client),
        monotonic=clock,
    )
    qualified = f"`{emulator.project}.{EVENTS.dataset}.{name}`"
    row = event(0, extra=b'{"battery":7,"x":1}')
    assert appender.append([row], timeout_s=20) == []
    emulator.change_table(with_column(BATTERY), name, f"ALTER TABLE {qualified} ADD COLUMN battery INT64")
    assert appender.append([row | {"event_id": "1"}], timeout_s=20) == []
    clock.pass_a_minute()
    assert appender.append([row | {"event_id": "2"}], timeout_s=20) == []
    rows = emulator.query(f"SELECT event_id, battery, TO_JSON_STRING(extra) FROM {qualified} ORDER BY 1")
    assert [(name, battery, json.loads(extra)) for name, battery, extra in rows] == [
        ("0", None, {"battery": 7, "x": 1}),
        ("1", None, {"battery": 7, "x": 1}),
        ("2", "7", {"x": 1}),
    ]
    channel.close()
