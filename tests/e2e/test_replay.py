"""Dead letters on the local stack: ten kinds of bad messages, repaired where they can be, replayed, the rest kept."""

import json
from collections import Counter
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from pmp_runtime.pubsub.publisher import Outgoing
from pmp_schema.topology import TOPOLOGY
from tests.e2e.conftest import Stack
from tests.fakes.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(400)]

SENSOR_EVENTS = TOPOLOGY.topics["sensor-events"]
GOOD = 1000
OF_EACH_KIND = 10


def bad_messages(run: str) -> dict[str, list[bytes]]:
    """Ten messages of each of ten kinds; event ids number on from those of the good ones."""

    def event(number: int, **changes: object) -> bytes:
        fields = {
            "event_id": f"{run}-{number}",
            "station_id": "A_101",
            "ts_iso": datetime.now(UTC).isoformat(),
            "kind": "pickup",
            "delta": 1,
        }
        return json.dumps(fields | changes).encode()

    def ten(first: int, make) -> list[bytes]:
        return [make(GOOD + first + n) for n in range(OF_EACH_KIND)]

    return {
        "unknown_kind": ten(0, lambda n: event(n, kind="stolen")),
        "schema": ten(10, lambda n: event(n, delta="1")),
        "timestamp_invalid": ten(20, lambda n: event(n, ts_iso="yesterday")),
        "timestamp_out_of_range": ten(30, lambda n: event(n, ts_iso="9999-01-01T00:00:00Z")),
        "empty": ten(40, lambda n: b""),
        "not_utf8": ten(50, lambda n: event(n).replace(b"A_101", b"\xff")),
        "not_json": ten(60, lambda n: event(n)[:-1]),
        "too_deep": ten(70, lambda n: event(n)[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
        "bad_gzip": ten(80, lambda n: b"no gzip " + event(n)),
        "too_large": ten(90, lambda n: event(n, filler="x" * 9_100_000)),
    }


FIXES = {
    "unknown_kind": [{"op": "set", "path": "$.kind", "value": "pickup"}],
    "schema": [{"op": "cast", "path": "$.delta", "to": "integer"}],
    "timestamp_invalid": [{"op": "set", "path": "$.ts_iso", "value": "2026-01-24T16:00:00Z"}],
    "timestamp_out_of_range": [{"op": "set", "path": "$.ts_iso", "value": "2026-01-24T16:00:00Z"}],
    "too_large": [{"op": "remove", "path": "$.filler"}],
}


def test_what_can_be_repaired_arrives_and_the_rest_is_kept_and_listed(stack: Stack):
    run = f"replay-{uuid4().hex[:8]}"
    publisher = stack.publisher
    replayer = httpx.Client(base_url=stack.env["REPLAYER_URL"], timeout=120, trust_env=False)
    good = [
        json.dumps(
            {
                "event_id": f"{run}-{n}",
                "station_id": "A_101",
                "ts_iso": datetime.now(UTC).isoformat(),
                "kind": "dropoff",
                "delta": 1,
            }
        ).encode()
        for n in range(GOOD)
    ]
    bad = bad_messages(run)
    publisher.publish(SENSOR_EVENTS, [Outgoing(data) for data in good])
    for reason, messages in bad.items():
        attributes = {"test": run} | ({"content-encoding": "gzip"} if reason == "bad_gzip" else {})
        publisher.publish(SENSOR_EVENTS, [Outgoing(data, attributes) for data in messages])

    def dead_letters() -> Counter[str]:
        rows = stack.query(
            "SELECT reason, COUNT(DISTINCT dead_letter_id) AS n FROM pmp_ops.dead_letters "
            "WHERE JSON_VALUE(attributes, '$.test') = @run AND replay_count = 0 GROUP BY reason",
            run=run,
        )
        return Counter({str(row["reason"]): int(str(row["n"])) for row in rows})

    def events() -> int:
        (row,) = stack.query(
            "SELECT COUNT(*) AS n FROM pmp_raw.raw_events_unique WHERE STARTS_WITH(event_id, @run)", run=run
        )
        return int(str(row["n"]))

    eventually(lambda: dead_letters().total() == 100, timeout_s=120)
    assert dead_letters() == dict.fromkeys(bad, OF_EACH_KIND)
    eventually(lambda: events() == GOOD, timeout_s=120)

    for reason, fixes in FIXES.items():
        wanted = {"reason": reason, "fixes": fixes, "limit": 1000, "rate_per_s": 200}
        report = replayer.post("/replay", json=wanted).raise_for_status().json()
        assert report["by_reason"][reason] >= OF_EACH_KIND
        assert report["replayed"] >= OF_EACH_KIND
    eventually(lambda: events() == GOOD + OF_EACH_KIND * len(FIXES), timeout_s=120)

    # What no repair can help stays listed, however often it is replayed.
    for _ in range(2):
        wanted = {"reason": "not_json", "limit": 1000, "rate_per_s": 200, "stop_share": 1.0, "max_replays": 1}
        replayer.post("/replay", json=wanted).raise_for_status()
    listed = replayer.get("/dead-letters", params={"reason": "not_json", "limit": 1000}).json()[
        "dead_letters"
    ]
    assert len([letter for letter in listed if letter["attributes"].get("test") == run]) >= OF_EACH_KIND
    assert events() == GOOD + OF_EACH_KIND * len(FIXES)
