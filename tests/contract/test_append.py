"""Appends through the strict fake and through the emulator: the same tests, the same outcome."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from pmp_runtime.bigquery.append.appender import Appender
from pmp_runtime.bigquery.append.channel import storage_write_channel, write_client
from pmp_runtime.bigquery.append.connection import connector
from pmp_runtime.bigquery.append.encoders import encoder_for
from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_schema.errors import Reason, SinkUnavailable
from pmp_schema.tables import table
from tests.fakes.bigquery_emulator import bigquery_emulator
from tests.fakes.storage_write import StorageWriteServer

EVENTS = table("raw_events")
AT = datetime(2025, 1, 2, 3, 4, 5, 678901, UTC)


def event(number, **changes):
    return {
        "event_id": f"e-{number}",
        "city_id": "paris",
        "station_id": "16107",
        "ts_iso": AT,
        "kind": "pickup",
        "delta": 1,
        "event_date": date(2025, 1, 2),
        "extra": '{"é": [1, null]}',
        "ingest_ts": AT,
    } | changes


@dataclass
class Sink:
    """A place to append to; `stored` reads (event_id, ts_iso in microseconds, delta, source, ...) back."""

    address: str
    path: str
    stored: Callable[[], list[tuple]]


@pytest.fixture(scope="module")
def emulator():
    with bigquery_emulator() as running:
        running.create_dataset(EVENTS.dataset)
        yield running


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.integration)])
def sink(request):
    if request.param == "fake":
        path = "projects/p/datasets/pmp_raw/tables/raw_events"
        with StorageWriteServer({path: EVENTS}) as server:
            yield Sink(server.address, path, lambda: sorted(map(_stored_in_fake, server.rows(path))))
        return
    running = request.getfixturevalue("emulator")
    name = f"events_{uuid.uuid4().hex}"
    sql = (
        "SELECT event_id, UNIX_MICROS(ts_iso), delta, CAST(event_date AS STRING), "
        f"JSON_VALUE(extra, '$.é[0]'), source FROM `{running.project}.{EVENTS.dataset}.{name}` ORDER BY 1"
    )
    path = running.create_table(EVENTS, name)
    yield Sink(running.grpc, path, lambda: [_stored_in_emulator(*row) for row in running.query(sql)])


def _stored_in_fake(row):
    micros = int(row["ts_iso"].timestamp()) * 1_000_000 + row["ts_iso"].microsecond
    first = "1" if row["extra"] == '{"é": [1, null]}' else None
    return row["event_id"], micros, row["delta"], row["event_date"].isoformat(), first, row["source"]


def _stored_in_emulator(event_id, micros, delta, day, first, source):
    return event_id, int(micros), int(delta), day, first, source


def as_stored(number, delta=1, source=None):
    return f"e-{number}", 1735787045678901, delta, "2025-01-02", "1", source


@pytest.fixture
def client(sink):
    channel = storage_write_channel(sink.address)
    yield write_client(channel)
    channel.close()


@pytest.fixture(params=["arrow", "proto"])
def appender(request, sink, client):
    return Appender(sink.path, encoder_for(request.param, EVENTS), connector(client))


def test_rows_are_readable_as_they_were_given(appender, sink):
    assert appender.append([event(0), event(1, delta=2**63 - 1, source="sim")], timeout_s=20) == []
    assert sink.stored() == [as_stored(0), as_stored(1, delta=2**63 - 1, source="sim")]


def test_many_appends_share_a_connection(appender, sink):
    for number in range(3):
        assert appender.append([event(number)], timeout_s=20) == []
    assert sink.stored() == [as_stored(number) for number in range(3)]


def test_concurrent_appends_are_all_durable(appender, sink):
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: appender.append([event(n)], timeout_s=30), range(10, 50)))
    assert results == [[]] * 40
    assert sink.stored() == [as_stored(number) for number in range(10, 50)]


def test_a_row_that_does_not_fit_is_a_reject_and_the_others_are_durable(appender, sink):
    rows = [event(0), event(1, kind=None), event(2, delta="1"), event(3)]
    assert appender.append(rows, timeout_s=20) == [
        RejectedRow(rows[1], "kind: required, but absent"),
        RejectedRow(rows[2], "delta: expected an integer, got str"),
    ]
    assert sink.stored() == [as_stored(0), as_stored(3)]


def test_a_batch_above_the_request_limit_is_split(appender, sink):
    rows = [event(number, source="x" * 4_000_000) for number in range(4)]
    assert appender.append(rows, timeout_s=60) == []
    assert [row[0] for row in sink.stored()] == ["e-0", "e-1", "e-2", "e-3"]


def test_a_row_just_below_the_request_limit_is_tried_and_one_above_is_too_large(appender, sink):
    rows = [event(0, source="x" * 9_900_000), event(1, source="x" * 10_000_000), event(2)]
    rejects = appender.append(rows, timeout_s=60)
    assert [(one.row, one.reason) for one in rejects] == [(rows[1], Reason.TOO_LARGE)]
    assert [row[0] for row in sink.stored()] == ["e-0", "e-2"]


def test_a_missing_table_is_the_sinks_fault_and_not_the_rows(sink, client):
    appender = Appender(f"{sink.path}_missing", encoder_for("arrow", EVENTS), connector(client))
    with pytest.raises(SinkUnavailable, match="NOT_FOUND"):
        appender.append([event(0)], timeout_s=20)
