"""The whole writer over a strict Storage Write server: what is acknowledged is a row or a dead letter."""

import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pmp_runtime.bigquery.append.channel import storage_write_channel, write_client
from pmp_schema.message import Message
from pmp_schema.tables import table
from pmp_writer.app import create_app
from pmp_writer.auth import NoVerifier
from pmp_writer.config import Config
from pmp_writer.handler import Handler
from pmp_writer.sinks import WRITTEN, Sinks, table_path
from tests.fakes.push_requests import FORMS, wrapped
from tests.fakes.recording import RecordingPublisher
from tests.fakes.storage_write import StorageWriteServer

NOW = datetime(2026, 1, 24, 16, 30, tzinfo=UTC)
EVENT = {
    "event_id": "e-1",
    "station_id": "A_101",
    "ts_iso": "2026-01-24T16:00:00Z",
    "kind": "pickup",
    "delta": 1,
}
CONFIG = Config(project="p", push_auth="none", append_timeout_s=10)
PATHS = {name: table_path(CONFIG, name) for name in WRITTEN}


class Bench:
    def __init__(self, server, client, config):
        self.server = server
        self.publisher = RecordingPublisher()
        self.sinks = Sinks(config, client)
        handler = Handler(self.sinks.by_table, self.publisher, lambda: NOW)
        self.app = create_app(handler, NoVerifier(), project="p", check_ready=self.sinks.ping)

    def push(self, route, data, form=wrapped, message_id="7", **attributes):
        headers, body = form(Message(data=data, message_id=message_id, attributes=attributes))
        return self.app.test_client().post(f"/push/{route}", data=body, headers=headers).status_code

    def rows(self, name):
        return self.server.rows(PATHS[name])

    @property
    def reasons(self):
        return [message.attributes["pmp-reason"] for _, message in self.publisher.published]


@pytest.fixture(params=["arrow", "proto"])
def bench(request):
    with StorageWriteServer({PATHS[name]: table(name) for name in WRITTEN}) as server:
        channel = storage_write_channel(server.address)
        yield Bench(server, write_client(channel), replace(CONFIG, row_encoder=request.param))
        channel.close()


def event(**changes):
    return json.dumps(EVENT | changes).encode()


def information(stations):
    envelope = {"source": "velib", "event_type": "station_information_snapshot"}
    return json.dumps(envelope | {"payload": {"data": {"stations": stations}}}).encode()


def test_a_row_is_stored_with_the_time_of_its_append(bench):
    assert bench.push("sensor-events", event(battery=1)) == 204
    (row,) = bench.rows("raw_events")
    assert row["ingest_ts"] > NOW
    assert row["extra"] == '{"battery":1}'
    assert (row["event_id"], row["ts_iso"]) == ("e-1", datetime(2026, 1, 24, 16, tzinfo=UTC))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_push_is_stored(bench, form):
    assert bench.push("sensor-events", event(), form) == 204
    assert len(bench.rows("raw_events")) == 1


def test_every_route_reaches_its_table(bench):
    snapshot = b'{"source":"velib","event_type":"station_status_snapshot","payload":{"a": 1}}'
    stations = [{"station_id": n, "name": "é", "lat": 48.8, "lon": 2.3} for n in range(3)]
    pushes = {
        "snapshots": snapshot,
        "station-information": information(stations),
        "sensor-events": event(),
        "ops-events": b'{"id":"1","type":"feed.polled","data":{"a":[null]}}',
        "dead-letters": b"\xff",
    }
    assert [bench.push(route, data) for route, data in pushes.items()] == [204] * 5
    assert {name: len(bench.rows(name)) for name in WRITTEN} == {
        "feed_snapshots": 1,
        "raw_events": 1,
        "station_information": 3,
        "dead_letters": 1,
        "events": 1,
    }
    assert bench.rows("feed_snapshots")[0]["payload"] == '{"a": 1}'
    assert bench.reasons == []


ODD = [
    event(x="\x00"),
    event(event_id="\x00\u2028é\U0001f6b2"),
    event(x=2**70),
    event(x=-(2**63), delta=2**63 - 1),
    event(x="\U0001f6b2"),
    event(ts_iso="2026-01-24T16:00:00.1234567"),
    event(source="s" * 100_000),
]


@pytest.mark.parametrize("data", ODD)
def test_odd_but_good_events_are_stored(bench, data):
    assert bench.push("sensor-events", data) == 204
    assert (len(bench.rows("raw_events")), bench.reasons) == (1, [])


def test_a_message_that_is_too_large_is_a_dead_letter_and_then_a_row(bench):
    data = event(x="x" * 9_500_000)
    assert bench.push("sensor-events", data, origin="test") == 204
    assert bench.reasons == ["too_large"]
    ((_, message),) = bench.publisher.published
    assert bench.push("dead-letters", message.data, **message.attributes) == 204
    (row,) = bench.rows("dead_letters")
    assert (row["reason"], row["data"], row["attributes"]) == ("too_large", data, '{"origin":"test"}')
    assert bench.rows("raw_events") == []


def test_the_largest_message_of_pubsub_is_a_row_without_its_data(bench):
    assert bench.push("dead-letters", bytes(10_000_000)) == 204
    (row,) = bench.rows("dead_letters")
    assert row["data"] is None
    assert row["detail"].startswith("data of 10000000 bytes is in the hold subscription only")


def test_the_largest_row_is_stored(bench):
    snapshot = b'{"source":"velib","event_type":"station_status_snapshot","payload":{"a":"%s"}}'
    data = gzip.compress(snapshot % (b"x" * 8_999_900))
    assert bench.push("snapshots", data, **{"content-encoding": "gzip"}) == 204
    assert (len(bench.rows("feed_snapshots")), bench.reasons) == (1, [])


def test_a_refused_row_is_a_dead_letter_and_its_neighbours_are_stored(bench):
    bench.server.latency_s = 0.02  # so that requests share appends
    bench.server.reject_row = lambda row: "odd" if row["event_id"].startswith("bad") else None
    ids = [f"{'bad' if n % 10 == 0 else 'good'}-{n}" for n in range(100)]
    with ThreadPoolExecutor(40) as pool:
        statuses = list(pool.map(lambda i: bench.push("sensor-events", event(event_id=i), message_id=i), ids))
    assert statuses == [204] * 100
    stored = [row["event_id"] for row in bench.rows("raw_events")]
    dead = [message.attributes["pmp-original-message-id"] for _, message in bench.publisher.published]
    assert sorted(stored) == sorted(i for i in ids if i.startswith("good"))
    assert sorted(dead) == sorted(i for i in ids if i.startswith("bad"))
    assert set(bench.reasons) == {"row_rejected"}


def test_one_refused_station_is_the_only_one_that_is_dead_lettered(bench):
    bench.server.reject_row = lambda row: "odd" if row["station_id"] == "7" else None
    stations = [{"station_id": n} for n in range(500)]
    assert bench.push("station-information", information(stations)) == 204
    assert len(bench.rows("station_information")) == 499
    ((_, message),) = bench.publisher.published
    assert [s["station_id"] for s in json.loads(message.data)["payload"]["data"]["stations"]] == [7]


def test_without_the_server_a_message_comes_again_and_is_stored_once_it_is_back(bench):
    bench.server.stop()
    assert bench.push("sensor-events", event()) == 503
    bench.server.start()
    deadline = time.monotonic() + 20  # gRPC pauses between its attempts to connect
    while (status := bench.push("sensor-events", event())) == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (status, len(bench.rows("raw_events"))) == (204, 1)


def test_a_missing_permission_is_never_a_dead_letter(bench):
    bench.server.denied = True
    assert bench.push("sensor-events", event()) == 503
    assert bench.reasons == []


@pytest.mark.parametrize(
    ("route", "name", "oldest"),
    [
        ("sensor-events", "raw_events", lambda at: event(ts_iso=at)),
        ("ops-events", "events", lambda at: json.dumps({"id": "1", "type": "t", "time": at}).encode()),
    ],
)
def test_a_row_that_no_partition_takes_is_a_dead_letter_with_bigquerys_reason(bench, route, name, oldest):
    bench.server.now = lambda: NOW
    assert bench.push(route, oldest((NOW - timedelta(days=3650)).isoformat()), message_id="1") == 204
    assert (len(bench.rows(name)), bench.reasons) == (1, [])
    assert bench.push(route, oldest((NOW - timedelta(days=3651)).isoformat()), message_id="2") == 204
    assert (len(bench.rows(name)), bench.reasons) == (1, ["row_rejected"])
    ((_, letter),) = bench.publisher.published
    assert "outside the allowed bounds" in letter.attributes["pmp-detail"]


def test_a_dead_letter_of_another_decade_is_kept_as_of_now(bench):
    bench.server.now = lambda: NOW
    given_up_at = (NOW - timedelta(days=3651)).isoformat()
    assert bench.push("dead-letters", b"x", **{"pmp-dead-lettered-at": given_up_at}) == 204
    (row,) = bench.rows("dead_letters")
    assert row["dead_lettered_ts"] == NOW
