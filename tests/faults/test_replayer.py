"""The replayer's process between both emulators and the real writer: killed, doubled, told too little, in vain."""

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from pmp_schema.topology import TOPOLOGY
from tests.fakes.faults import Hold
from tests.fakes.pubsub_proxy import PubSubProxy
from tests.fakes.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.integration, pytest.mark.timeout(400)]
LEASE_S = 10  # the shortest: what a killed run had leased is free after it
RATE_PER_S = 20  # ten letters are published together
REPAIR = {
    "reason": "unknown_kind",
    "fixes": [{"op": "set", "path": "$.kind", "value": "pickup"}],
    "rate_per_s": RATE_PER_S,
}
PUBLISH = ("Publish", TOPOLOGY.topics["sensor-events"].id.encode())
ACKNOWLEDGE = ("Acknowledge", b"")
NOTE = ("Publish", b"replay.letters")
# Which call of a run never gets through, because the replayer is killed: before anything is published, and before the
# third batch, before what is published is acknowledged, before what is acknowledged is noted.
KILLED_AT = {
    "hold": [(*PUBLISH, 1), (*PUBLISH, 3), (*ACKNOWLEDGE, 2), (*NOTE, 2)],
    "table": [(*PUBLISH, 1), (*PUBLISH, 3), (*NOTE, 2)],
}
NOTES = "SELECT COUNT(DISTINCT event_id) AS n FROM pmp_ops.events WHERE type = 'replay.letters'"
UNFINISHED = "SELECT COUNT(*) AS n FROM pmp_ops.replays WHERE finished_ts IS NULL"


@pytest.fixture
def pubsub(emulators):
    """Between the replayer and Pub/Sub."""
    address, _ = emulators
    with PubSubProxy(address, methods=frozenset({"Publish", "Acknowledge"})) as proxy:
        yield proxy


@pytest.fixture
def start(stack, pubsub):
    """Starts one more replayer."""
    started = []

    def start_one():
        service = stack.service(
            "pmp_replayer.wsgi:app",
            PUBSUB_EMULATOR_HOST=pubsub.address,
            BIGQUERY_EMULATOR_HOST=stack.bigquery.url,
            REPLAYER_LEASE_S=str(LEASE_S),
            REPLAYER_IDLE_S="3",
        )
        service.start()
        started.append(service)
        return service

    yield start_one
    for service in started:
        if service.alive:
            service.kill()


def replay(replayer, **wanted):
    answer = httpx.post(f"{replayer.url}/replay", json=wanted, timeout=200, trust_env=False)
    return answer.raise_for_status().json()


def kill_at(replayer, pubsub, method, part, turn, **wanted):
    """Replays until such a call is to be made for the n-th time, and kills the replayer there."""
    turns = itertools.count(1)
    pubsub.faults.rule = lambda call: (
        Hold() if call.method == method and part in call.request and next(turns) == turn else None
    )
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(replay, replayer, **wanted)
        pubsub.faults.await_held(1, 60)
        replayer.kill()
        with pytest.raises(httpx.TransportError):
            run.result(30)
    pubsub.faults.rule = lambda call: None
    replayer.start()
    pubsub.faults.release()  # nobody waits for it any more: dropped


def give_up(stack, messages):
    """So many events of a kind that there is not, each of them a dead letter that can be repaired."""
    stack.publish(messages, kind="stolen")
    eventually(lambda: len(stack.dead()) == messages, 120, every_s=0.3)


def give_up_poison(stack, messages):
    stack.poison(messages)
    eventually(lambda: len(stack.dead()) == messages, 120, every_s=0.3)


def held_poison(stack):
    return Counter(message.data for message in stack.held())


def every_poison(messages):
    return Counter(b"poison %d" % n for n in range(messages))


@pytest.mark.parametrize("source", ["hold", "table"])
def test_a_replayer_killed_at_any_point_of_its_run_replays_everything(stack, pubsub, start, report, source):
    """24: replayer killed in mid-run and run again"""
    give_up(stack, 100)
    stack.poison(10)
    stack.publish(30)
    eventually(lambda: len(stack.dead()) == 110, 60, every_s=0.3)
    wanted = {**REPAIR, "from": source}
    replayer = start()
    for point in KILLED_AT[source]:
        kill_at(replayer, pubsub, *point, **wanted)
    eventually(lambda: stack.query(NOTES)[0]["n"] >= 3, every_s=0.3)
    replayer.restart(REPLAYER_IDLE_S=str(LEASE_S + 2))
    last = replay(replayer, **wanted)
    assert 0 < last["replayed"] < 100, "what the killed runs had replayed is done"
    outcome = stack.settle()
    report(outcome)
    assert (outcome.messages, len(outcome.dead)) == (140, 110)
    assert outcome.duplicates >= 10, "a batch was published, and killed before that was noted"
    eventually(lambda: stack.query(UNFINISHED)[0]["n"] == len(KILLED_AT[source]), every_s=0.3)
    eventually(lambda: replay(replayer, **wanted)["replayed"] == 0, 60)
    if source == "hold":
        assert held_poison(stack) == every_poison(10)


def test_two_replayers_at_once_replay_each_letter_once(stack, start, report):
    """24: replay run twice at once"""
    give_up(stack, 100)
    replayers = [start(), start()]
    with ThreadPoolExecutor(2) as pool:
        replayed = [one["replayed"] for one in pool.map(lambda service: replay(service, **REPAIR), replayers)]
    outcome = stack.settle()
    report(outcome)
    assert (sum(replayed), min(replayed) > 0) == (100, True)
    assert stack.held() == []


def test_a_dry_run_has_no_side_effects(stack, pubsub, start, report):
    """24: dry run of a replay"""
    give_up(stack, 20)
    stack.published = dict.fromkeys(stack.published)  # none of them becomes a row
    replayer = start()
    for source in ("hold", "table"):
        planned = replay(replayer, dry_run=True, **REPAIR, **{"from": source})
        assert (planned["would_replay"], planned["replayed"]) == (20, 0)
        assert [letter["changed"] for letter in planned["fixed"]] == [1] * 20
    assert pubsub.forwarded == Counter(), "nothing was pulled, leased or published"
    assert len(stack.held()) == 20
    outcome = stack.settle()
    report(outcome)
    assert (outcome.duplicates, len(outcome.dead)) == (0, 20)


def test_a_consumer_that_is_still_broken_stops_the_run(stack, start, report):
    """24: everything that is replayed comes back"""
    give_up_poison(stack, 200)
    stopped = replay(start(), reason="not_json", rate_per_s=10)
    assert stopped["stopped"] == "too many came back"
    assert stopped["replayed"] < 200
    eventually(lambda: len(stack.dead()) == 200 + stopped["replayed"], 60, every_s=0.3)
    report(stack.settle())
    assert held_poison(stack) == every_poison(200)


def test_what_nothing_can_help_is_quarantined_at_its_count(stack, start, report):
    """24: limit of a run, quarantine at the second replay"""
    give_up_poison(stack, 10)
    replayer = start()
    wanted = {"reason": "not_json", "max_replays": 2, "stop_share": 1.0, "rate_per_s": RATE_PER_S}
    given_up = 10
    # Four of ten; then all; then the six that were replayed once only.
    for limit, replayed, refused in ((4, 4, 0), (100, 10, 0), (100, 6, 4)):
        done = replay(replayer, **wanted, limit=limit)
        assert (done["replayed"], done["refused"]) == (replayed, refused)
        given_up += replayed
        eventually(lambda given_up=given_up: len(stack.dead()) == given_up, 60, every_s=0.3)
    done = replay(replayer, **wanted)
    assert (done["replayed"], done["refused_by"]) == (0, {"max_replays": 10})
    report(stack.settle())
    listed = httpx.get(f"{replayer.url}/dead-letters", params={"limit": 100}, timeout=60, trust_env=False)
    counts = Counter(letter["replay_count"] or 0 for letter in listed.json()["dead_letters"])
    assert counts == {0: 10, 1: 10, 2: 10}
    assert held_poison(stack) == every_poison(10)
