"""What the appender does when BigQuery misbehaves; against the strict fake, which can."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from google.cloud.bigquery_storage_v1.types import StorageError
from grpc import StatusCode

from pmp_runtime.bigquery.append.appender import Appender
from pmp_runtime.bigquery.append.channel import storage_write_channel, write_client
from pmp_runtime.bigquery.append.connection import connector
from pmp_runtime.bigquery.append.encoders import encoder_for
from pmp_runtime.bigquery.append.results import ACTIONS, Action
from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_schema.errors import SinkUnavailable
from pmp_schema.tables import table
from tests.fakes.storage_write import Answer, EndCall, Hang, SchemaUpdated, StorageWriteServer

EVENTS = table("raw_events")
PATH = "projects/p/datasets/pmp_raw/tables/raw_events"
AT = datetime(2025, 1, 2, tzinfo=UTC)
WAITING = [code for code, action in ACTIONS.items() if action is Action.WAIT]
REOPENING = [code for code, action in ACTIONS.items() if action is Action.REOPEN]


def event(number):
    return {
        "event_id": f"e-{number}",
        "city_id": "paris",
        "station_id": "16107",
        "ts_iso": AT,
        "kind": "pickup",
        "delta": 1,
        "event_date": date(2025, 1, 2),
        "ingest_ts": AT,
    }


def events(count):
    return [event(number) for number in range(count)]


def ids(rows):
    return [row["event_id"] for row in rows]


@pytest.fixture
def server():
    with StorageWriteServer({PATH: EVENTS}) as server:
        yield server


@pytest.fixture
def client(server):
    channel = storage_write_channel(server.address)
    yield write_client(channel)
    channel.close()


@pytest.fixture
def appender(client):
    return Appender(PATH, encoder_for("arrow", EVENTS), connector(client))


def test_the_first_request_names_stream_schema_and_trace_and_the_call_is_routed(server, appender):
    appender.append(events(1), timeout_s=5)
    appender.append(events(1), timeout_s=5)
    assert (server.connections, server.requests) == (1, [1, 1])
    assert server.trace_ids == ["mobility-pulse"]
    assert server.routing == [f"write_stream={PATH}/streams/_default"]


def test_a_row_of_another_decade_is_a_reject(server, appender):
    server.now = lambda: AT
    days = [
        AT - timedelta(days=3650),
        AT - timedelta(days=3651),
        AT + timedelta(days=366),
        AT + timedelta(days=367),
    ]
    rows = [event(number) | {"event_date": at.date()} for number, at in enumerate(days)]
    rejects = appender.append(rows, timeout_s=5)
    assert [reject.row for reject in rejects] == [rows[1], rows[3]]
    assert all("outside the allowed bounds" in reject.detail for reject in rejects)
    assert ids(server.rows(PATH)) == ["e-0", "e-2"]


def test_named_rows_are_rejects_and_the_rest_is_appended_again(server, appender):
    server.reject_row = lambda row: "bad kind" if row["event_id"] in {"e-3", "e-7"} else None
    assert appender.append(events(10), timeout_s=5) == [RejectedRow(event(n), "bad kind") for n in (3, 7)]
    assert ids(server.rows(PATH)) == [f"e-{n}" for n in range(10) if n not in {3, 7}]
    assert server.requests == [10, 8]


def test_a_batch_of_bad_rows_only_is_all_rejects(server, appender):
    server.reject_row = lambda row: "bad"
    assert len(appender.append(events(5), timeout_s=5)) == 5
    assert server.requests == [5]


def test_bad_rows_that_nobody_names_are_found_in_log_n_rounds(server, appender):
    server.refuse_row = lambda row: row["event_id"] in {"e-5", "e-400"}
    rejects = appender.append(events(500), timeout_s=20)
    assert [reject.row for reject in rejects] == [event(5), event(400)]
    assert Counter(ids(server.rows(PATH))) == Counter(f"e-{n}" for n in range(500) if n not in {5, 400})
    assert len(server.requests) <= 1 + 2 * 2 * 9


def test_a_row_that_ends_the_call_is_found_and_the_others_are_durable(server, appender):
    appender.append([event(99)], timeout_s=5)
    server.kill_row = lambda row: row["event_id"] == "e-6"
    assert appender.append(events(8), timeout_s=10) == [RejectedRow(event(6), "bad request")]
    assert set(ids(server.rows(PATH))) == {f"e-{n}" for n in range(8) if n != 6} | {"e-99"}


def test_a_call_that_never_worked_blames_no_row(server, appender):
    server.kill_row = lambda row: True
    with pytest.raises(SinkUnavailable, match="INVALID_ARGUMENT"):
        appender.append(events(4), timeout_s=5)


def test_a_schema_that_the_table_does_not_have_blames_no_row(server, appender):
    mismatch = int(StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS)
    for fault in (Answer, EndCall):
        server.script.append(fault(StatusCode.INVALID_ARGUMENT, storage_error=mismatch))
        with pytest.raises(SinkUnavailable, match="INVALID_ARGUMENT"):
            appender.append(events(4), timeout_s=5)
    assert appender.append(events(1), timeout_s=5) == []


@pytest.mark.parametrize("code", WAITING + REOPENING)
def test_an_answer_with_such_a_code_is_unavailable_and_the_call_goes_on(server, appender, code):
    server.script.append(Answer(code))
    with pytest.raises(SinkUnavailable, match=code.name):
        appender.append(events(1), timeout_s=5)
    assert appender.append(events(1), timeout_s=5) == []
    assert server.connections == 1


@pytest.mark.parametrize("code", REOPENING)
def test_a_lost_call_is_reopened_once_and_the_rows_are_sent_again(server, appender, code):
    appender.append([event(0)], timeout_s=5)
    server.script.append(EndCall(code))
    assert appender.append([event(1)], timeout_s=5) == []
    assert ids(server.rows(PATH)) == ["e-0", "e-1"]
    assert server.connections == 2


def test_a_call_that_is_lost_twice_is_unavailable(server, appender):
    server.script += [EndCall(StatusCode.UNAVAILABLE)] * 2
    with pytest.raises(SinkUnavailable, match="UNAVAILABLE"):
        appender.append(events(1), timeout_s=5)
    assert server.requests == [1, 1]


@pytest.mark.parametrize("code", WAITING)
def test_a_call_that_is_refused_is_not_sent_again(server, appender, code):
    server.script.append(EndCall(code))
    with pytest.raises(SinkUnavailable, match=code.name):
        appender.append(events(1), timeout_s=5)
    assert server.requests == [1]


def test_a_lost_answer_gives_duplicates_and_no_loss(server, appender):
    server.script.append(EndCall(StatusCode.ABORTED, committed=True))
    assert appender.append(events(1), timeout_s=5) == []
    assert ids(server.rows(PATH)) == ["e-0", "e-0"]


def test_a_missing_permission_is_unavailable_and_recovers(server, appender):
    server.denied = True
    with pytest.raises(SinkUnavailable, match="PERMISSION_DENIED"):
        appender.append(events(1), timeout_s=5)
    server.denied = False
    assert appender.append(events(1), timeout_s=5) == []


def test_a_server_that_hangs_costs_the_time_out_and_the_next_append_gets_a_new_call(server, appender):
    server.script.append(Hang())
    with pytest.raises(SinkUnavailable, match="no answer in time"):
        appender.append(events(1), timeout_s=0.2)
    assert appender.append(events(1), timeout_s=5) == []
    assert server.connections == 2


def test_a_neighbours_time_out_costs_a_resend_and_nothing_else(server, appender):
    server.script.append(Hang())
    with ThreadPoolExecutor(2) as pool:
        hanging = pool.submit(appender.append, [event(0)], timeout_s=0.5)
        while server.script:
            time.sleep(0.005)
        behind = pool.submit(appender.append, [event(1)], timeout_s=10)
        assert behind.result() == []
        with pytest.raises(SinkUnavailable):
            hanging.result()
    assert ids(server.rows(PATH)) == ["e-1"]


def test_a_refused_connection_fails_within_the_time_out_and_recovers_alone(server, appender):
    assert appender.append([event(0)], timeout_s=5) == []
    server.stop()
    for _ in range(3):
        with pytest.raises(SinkUnavailable):
            appender.append([event(1)], timeout_s=5)
    server.start()
    deadline = time.monotonic() + 10
    while True:
        try:
            appender.append([event(2)], timeout_s=5)
            break
        except SinkUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert ids(server.rows(PATH)) == ["e-0", "e-2"]


def test_a_connection_that_died_idle_is_replaced_without_an_error(server, appender):
    assert appender.append([event(0)], timeout_s=5) == []
    server.stop()
    server.start()
    assert appender.append([event(1)], timeout_s=5) == []
    assert ids(server.rows(PATH)) == ["e-0", "e-1"]


def test_appends_are_pipelined_on_one_connection(server, appender):
    server.latency_s = 0.3
    began = threading.Barrier(20)

    def append(number):
        began.wait()
        return appender.append([event(number)], timeout_s=5)  # one after the other would take 6 s

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(append, range(20))) == [[]] * 20
    assert server.connections == 1


def test_the_stamp_is_set_at_every_attempt(server, client):
    ticks = (AT + timedelta(seconds=n) for n in range(1, 9))
    appender = Appender(
        PATH, encoder_for("proto", EVENTS), connector(client), stamp="ingest_ts", now=lambda: next(ticks)
    )
    server.script.append(EndCall(StatusCode.UNAVAILABLE, committed=True))
    row = {name: value for name, value in event(0).items() if name != "ingest_ts"}
    assert appender.append([row], timeout_s=5) == []
    assert [stored["ingest_ts"] for stored in server.rows(PATH)] == [
        AT + timedelta(seconds=1),
        AT + timedelta(seconds=2),
    ]


def test_a_schema_that_is_told_anew_without_a_change_is_no_news(server, appender, caplog):
    server.script += [SchemaUpdated(), SchemaUpdated()]
    appender.append(events(1), timeout_s=5)
    appender.append(events(1), timeout_s=5)
    assert (caplog.records, server.connections) == ([], 1)


def test_a_dead_connection_leaves_no_thread(server, appender):
    server.script.append(Hang())
    with pytest.raises(SinkUnavailable):
        appender.append(events(1), timeout_s=0.1)
    deadline = time.monotonic() + 5
    while any(thread.name == "append-responses" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
