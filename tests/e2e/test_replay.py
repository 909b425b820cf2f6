"""Dead letters on the local stack: ten kinds of bad messages, repaired where they can be, replayed, the rest kept."""

from collections import Counter
from uuid import uuid4

import httpx
import pytest

from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema.topology import TOPOLOGY
from tests.e2e.conftest import Stack
from tests.e2e.poison import attributes, event, poison
from tests.fakes.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(400)]

SENSOR_EVENTS = TOPOLOGY.topics["sensor-events"]
GOOD = 1000
OF_EACH_KIND = 10
REASONS = tuple(poison(""))


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
    publisher.publish(SENSOR_EVENTS, [Outgoing(event(f"{run}-{n}", kind="dropoff")) for n in range(GOOD)])
    for number in range(OF_EACH_KIND):
        for kind, reason in enumerate(REASONS):
            data = poison(f"{run}-{GOOD + OF_EACH_KIND * kind + number}")[reason]
            publisher.publish(SENSOR_EVENTS, [Outgoing(data, attributes(reason, run))])

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
    assert dead_letters() == dict.fromkeys(REASONS, OF_EACH_KIND)
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
