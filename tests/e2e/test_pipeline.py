"""From a published message to a row, on the local stack."""

import json
import threading
import time
from uuid import uuid4

import httpx
import msgspec
import pytest

from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema.topology import TOPOLOGY
from tests.e2e.conftest import Stack
from tests.e2e.poison import attributes, event, poison
from tests.fakes.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SENSOR_EVENTS = TOPOLOGY.topics["sensor-events"]
SNAPSHOTS = TOPOLOGY.topics["snapshots"]
INFORMATION = TOPOLOGY.topics["station-information"]
# As the second source document prints it for `gcloud pubsub topics publish`.
PRINTED_SNAPSHOT = (
    '{"ingest_ts":"2026-01-24T16:00:00Z","event_ts":"2026-01-24T16:00:00Z","source":"velib",'
    '"event_type":"station_status_snapshot","key":"test:one_station","payload":{"data":{"stations":[{"station_id":123,'
    '"stationCode":"X1","is_installed":1,"is_renting":1,"is_returning":1,"last_reported":1768918344,'
    '"num_bikes_available":5,"num_docks_available":10,"num_bikes_available_types":[{"mechanical":3},{"ebike":2}]}]}}}'
)


def test_the_messages_printed_in_the_source_documents_land_as_they_stand(stack: Stack):
    row = (
        b'{"event_id": "e-90001", "station_id": "A_205", "ts_iso": "2025-10-19T21:02:06+00:00", '
        b'"kind": "dropoff", "delta": 1}'
    )
    stack.publisher.publish(SENSOR_EVENTS, [Outgoing(row)])
    stack.publisher.publish(SNAPSHOTS, [Outgoing(PRINTED_SNAPSHOT.encode())])

    eventually(lambda: stack.query("SELECT 1 FROM pmp_raw.raw_events WHERE event_id = 'e-90001'"))
    eventually(lambda: stack.query("SELECT 1 FROM pmp_raw.feed_snapshots WHERE key = 'test:one_station'"))
    (stored,) = stack.query(
        "SELECT station_id, kind, delta, city_id, source, event_date FROM pmp_raw.raw_events_unique "
        "WHERE event_id = 'e-90001'"
    )
    assert {name: str(value) for name, value in stored.items()} == {
        "station_id": "A_205",
        "kind": "dropoff",
        "delta": "1",
        "city_id": "unknown",
        "source": "sensor",
        "event_date": "2025-10-19",
    }
    (snapshot,) = stack.query(
        "SELECT station_count, TO_JSON_STRING(payload) AS payload FROM pmp_raw.feed_snapshots "
        "WHERE key = 'test:one_station'"
    )
    assert snapshot["station_count"] == 1
    assert json.loads(str(snapshot["payload"])) == json.loads(PRINTED_SNAPSHOT)["payload"]


def test_a_collected_feed_becomes_one_snapshot_and_a_row_for_each_station(stack: Stack):
    collector = httpx.Client(base_url=stack.env["COLLECTOR_URL"], timeout=60, trust_env=False)
    status = collector.post("/collect/station_status").raise_for_status().json()["results"][0]
    information = collector.post("/collect/station_information").raise_for_status().json()["results"][0]
    assert (status["outcome"], information["outcome"]) == ("published", "published")

    def rows(table: str, message_id: str) -> int:
        (found,) = stack.query(f"SELECT COUNT(*) AS n FROM {table} WHERE message_id = @id", id=message_id)
        return int(str(found["n"]))

    eventually(lambda: rows("pmp_raw.feed_snapshots", status["message_id"]) == 1)
    eventually(
        lambda: rows("pmp_curated.station_information", information["message_id"]) == information["stations"]
    )


def test_every_kind_of_poison_is_a_dead_letter_with_its_bytes_and_its_reason(stack: Stack):
    mark = uuid4().hex
    messages = poison("e-poison")
    stack.publisher.publish(
        SENSOR_EVENTS, [Outgoing(data, attributes(reason, mark)) for reason, data in messages.items()]
    )

    def dead_letters() -> dict[str, bytes]:
        rows = stack.query(
            "SELECT reason, data, source_topic FROM pmp_ops.dead_letters "
            "WHERE JSON_VALUE(attributes, '$.test') = @mark",
            mark=mark,
        )
        assert {row["source_topic"] for row in rows} <= {SENSOR_EVENTS.id}
        return {str(row["reason"]): bytes(row["data"] or b"") for row in rows}  # type: ignore[arg-type]

    eventually(lambda: len(dead_letters()) == len(messages))
    assert dead_letters() == messages


def test_a_message_above_the_row_limit_is_a_dead_letter_and_its_row_keeps_the_bytes(stack: Stack):
    payload = {"data": {"stations": [], "filler": "x" * 9_200_000}}
    envelope = json.loads(PRINTED_SNAPSHOT) | {"payload": payload}
    data = msgspec.json.encode(envelope)
    (message_id,) = stack.publisher.publish(SNAPSHOTS, [Outgoing(data)])

    sql = "SELECT reason, LENGTH(data) AS n FROM pmp_ops.dead_letters WHERE original_message_id = @id"
    eventually(lambda: stack.query(sql, id=message_id))
    assert stack.query(sql, id=message_id) == [{"reason": "too_large", "n": len(data)}]


def test_one_bad_station_is_one_dead_letter_and_the_others_are_rows(stack: Stack):
    stations = [{"station_id": 1, "name": "one"}, {"station_id": None}, {"station_id": "3", "name": "three"}]
    system = f"s{uuid4().hex[:8]}"
    envelope = {
        "source": system,
        "event_type": "station_information_snapshot",
        "event_ts": "2026-01-24T16:00:00Z",
        "payload": {"last_updated": 1769270400, "data": {"stations": stations}},
    }
    (message_id,) = stack.publisher.publish(INFORMATION, [Outgoing(msgspec.json.encode(envelope))])

    sql = "SELECT data FROM pmp_ops.dead_letters WHERE original_message_id = @id"
    eventually(lambda: stack.query(sql, id=message_id))
    (letter,) = stack.query(sql, id=message_id)
    assert json.loads(bytes(letter["data"]))["payload"]["data"]["stations"] == [{"station_id": None}]  # type: ignore[arg-type]
    rows = stack.query(
        "SELECT station_id, name FROM pmp_curated.station_information_latest WHERE system_id = @system "
        "ORDER BY station_id",
        system=system,
    )
    assert rows == [{"station_id": "1", "name": "one"}, {"station_id": "3", "name": "three"}]


def test_a_writer_killed_under_load_loses_nothing(stack: Stack):
    run = f"kill-{uuid4().hex[:8]}"
    total, rate = 4000, 500
    publisher = stack.publisher

    def publish() -> None:
        begun = time.monotonic()
        for first in range(0, total, 50):
            publisher.publish(
                SENSOR_EVENTS, [Outgoing(event(f"{run}-{n}")) for n in range(first, first + 50)]
            )
            time.sleep(max(0.0, begun + (first + 50) / rate - time.monotonic()))

    def arrived(table: str, what: str) -> int:
        (found,) = stack.query(
            f"SELECT COUNT({what}) AS n FROM {table} WHERE STARTS_WITH(event_id, @run)", run=run
        )
        return int(str(found["n"]))

    load = threading.Thread(target=publish)
    load.start()
    eventually(lambda: arrived("pmp_raw.raw_events", "DISTINCT event_id") > 0)
    stack.kill("writer")
    load.join(60)
    assert not load.is_alive()

    eventually(lambda: arrived("pmp_raw.raw_events", "DISTINCT event_id") == total, timeout_s=120)
    assert arrived("pmp_raw.raw_events_unique", "*") == total
