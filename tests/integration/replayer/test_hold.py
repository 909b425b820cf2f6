"""Replays from the hold subscription of the real emulator."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import msgspec
import pytest

from pmp_replayer.hold import HOLD, Hold
from pmp_replayer.leases import Leases
from pmp_replayer.request import ReplayRequest
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema.errors import PublishFailed
from pmp_schema.topology import TOPOLOGY

pytestmark = pytest.mark.integration


class Killed(BaseException):
    """The process ends here."""


class Interrupted:
    """A publisher that does what it is told before or after the n-th publish of replays."""

    def __init__(self, publisher, *, at=1, before=lambda: None, after=lambda messages: None):
        self.publisher, self.at, self.before, self.after = publisher, at, before, after

    def publish(self, topic, messages):
        if topic.id == TOPOLOGY.topics["ops-events"].id:
            return self.publisher.publish(topic, messages)
        self.at -= 1
        if self.at <= 0:
            self.before()
        ids = self.publisher.publish(topic, messages)
        if self.at <= 0:
            self.after(messages)
        return ids


def request(**fields):
    return msgspec.convert({"rate_per_s": 1e6} | fields, ReplayRequest)


def finished(progress):
    *_, counts = progress
    return counts.report()


def failing(error):
    def fail(*_):
        raise error

    return fail


def ids(messages):
    return Counter(message.attributes["pmp-replay-of"] for message in messages)


def test_bytes_and_attributes_arrive_as_they_were_and_the_audit_names_every_letter(project):
    letters = project.give_up(150, tenant="paris")
    letters += project.give_up(1, topic="snapshots", reason="not_json", **{"pmp-replay-count": "1"})
    report = finished(project.replayer().replay(request()))
    assert (report["replayed"], report["by_reason"]) == (151, {"schema": 150, "not_json": 1})
    events, [snapshot] = project.replayed(), project.replayed("snapshots")
    [event] = [message for message in events if message.attributes["ce-id"] == "e-schema-0"]
    added = {"pmp-replay-count": "1", "pmp-replay-id": report["replay_id"], "pmp-replay-of": "dl-schema-0"}
    assert event.data == b"\x00\xff 0"
    assert dict(event.attributes) == {"ce-id": "e-schema-0", "tenant": "paris"} | added
    assert snapshot.attributes["pmp-replay-count"] == "2"
    assert project.held() == []
    audit = [json.loads(message.data) for message in project.replayed("ops-events")]
    named = [i for e in audit if e["type"] == "replay.letters" for i in e["data"]["dead_letter_ids"]]
    assert sorted(named) == sorted(letters)
    assert [event["data"] for event in audit if event["type"] == "replay.finished"] == [report]


def test_what_is_not_replayed_stays_in_the_hold_and_is_free_after_the_replay(project):
    others = project.give_up(30, reason="not_json")
    project.give_up(20)
    quarantined = project.give_up(2, **{"pmp-replay-count": "3", "pmp-dead-letter-id": "dl-quarantined"})
    report = finished(project.replayer().replay(request(reason="schema")))
    assert (report["examined"], report["replayed"], report["kept"]) == (51, 20, 30)
    assert report["refused_by"] == {"max_replays": 1}
    assert set(project.held()) == {*others, *quarantined}


def test_nothing_is_acknowledged_before_its_publish_is_confirmed(project):
    letters = project.give_up(5)
    publisher = Interrupted(project.publisher, before=failing(PublishFailed("down")))
    with pytest.raises(PublishFailed):
        finished(project.replayer(publisher).replay(request()))
    assert project.replayed() == []
    assert project.held() == sorted(letters)


def test_a_replay_killed_between_publish_and_acknowledgement_loses_nothing(project):
    letters = project.give_up(60)
    publisher = Interrupted(project.publisher, at=2, after=failing(Killed()))
    with pytest.raises(Killed):
        finished(project.replayer(publisher).replay(request(rate_per_s=40)))
    report = finished(project.replayer().replay(request()))
    times = ids(project.replayed())
    assert set(times) == set(letters)
    # Twenty were acknowledged, twenty published and not acknowledged, twenty not reached.
    assert (report["replayed"], Counter(times.values())) == (40, {1: 40, 2: 20})
    assert project.held() == []


def test_leases_last_as_long_as_a_slow_replay(project):
    project.give_up(4)
    kept = project.give_up(3, reason="not_json")
    began = time.monotonic()
    stolen = []
    # Leases of 3 s and 2 s between two letters: unextended, the third letter and the kept ones would be free again.
    with closing(project.replayer(lease_s=3.0).replay(request(reason="schema", rate_per_s=0.5))) as progress:
        counts = next(progress)
        for _ in progress:
            if time.monotonic() - began > 5 and not stolen:
                stolen.append(project.pull(HOLD.path(project.id), ack=False))
    assert (counts.replayed, stolen) == (4, [[]])
    assert set(ids(project.replayed()).values()) == {1}
    assert project.held() == kept


def test_two_replays_at_once_replay_each_letter_once(project):
    letters = project.give_up(400)
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(lambda: finished(project.replayer().replay(request(rate_per_s=200))))
            for _ in range(2)
        ]
        replayed = [run.result(60)["replayed"] for run in runs]
    assert (sum(replayed), min(replayed) > 0) == (400, True)
    assert ids(project.replayed()) == Counter(letters)


def test_a_letter_that_was_given_up_twice_is_replayed_once(project):
    letters = project.give_up(5)
    project.give_up(5)
    report = finished(project.replayer().replay(request()))
    assert (report["replayed"], ids(project.replayed())) == (5, Counter(letters))
    assert project.held() == []


def test_the_replay_stops_when_its_letters_come_back_and_keeps_them(project):
    def give_up_again(messages):
        again = [
            Outgoing(
                m.data,
                {
                    **m.attributes,
                    "pmp-dead-letter-id": f"again-{m.attributes['pmp-replay-of']}",
                    "pmp-reason": "schema",
                    "pmp-source-topic": "pmp-sensor-events",
                },
            )
            for m in messages
        ]
        project.publisher.publish(TOPOLOGY.topics["dead-letters"], again)

    project.give_up(25)
    publisher = Interrupted(project.publisher, after=give_up_again)
    fed = False
    for counts in project.replayer(publisher, idle_s=2.0).replay(request(rate_per_s=20)):
        if counts.replayed >= 25 and not fed:
            project.give_up(25, reason="not_json")
            fed = True
    report = counts.report()
    assert report["stopped"] == "too many came back"
    assert report["replayed"] < 50
    assert set(ids(project.replayed()).values()) == {1}
    assert len([letter for letter in project.held() if letter.startswith("again-")]) == report["replayed"]


def test_a_replay_leases_only_so_many_letters(project):
    given = project.give_up(30)
    subscriber, path = project.clients.subscriber, HOLD.path(project.id)
    with Leases(subscriber, path, lease_s=10, timeout_s=5) as leases:
        source = Hold(
            subscriber, path, leases, replay_id="r-1", came_back=lambda: 0, idle_s=5, pulled=10, max_leased=20
        )
        found = [letter.id for letters in source.letters() for letter in letters]
        assert (len(found), source.ended_by()) == (20, "too many do not match")
    assert project.held() == sorted(given)
