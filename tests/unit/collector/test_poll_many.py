"""Polling many systems: in parallel, at their own pace, without affecting each other."""

import threading

import pytest

from pmp_collector.config import System
from pmp_collector.poll import Poller, PollResult
from tests.fakes.feeds import FakeFeeds, body, status
from tests.unit.collector.conftest import INFORMATION, STATUS, explicit


def many(names: str, **fields) -> list[System]:
    return [explicit(name, f"https://{name}.test/", f"https://{name}.test/i", **fields) for name in names]


def served(names: str, *answers) -> FakeFeeds:
    """The status feeds of these systems, all with the same answers."""
    return FakeFeeds({f"https://{name}.test/": list(answers or [body()]) for name in names})


def test_one_system_alone_can_be_polled(publisher, clock):
    (result,) = Poller(many("abc"), served("b").get, publisher, clock).poll("station_status", "b")
    assert (result.system, result.outcome) == ("b", "published")


def test_a_failing_system_never_disturbs_the_others(publisher, clock):
    feeds = served("abcd")
    feeds.give("https://b.test/", status(500))
    feeds.give("https://c.test/", b"<html>")
    results = Poller(many("abcd"), feeds.get, publisher, clock).poll("station_status")
    assert [(r.system, r.outcome) for r in results] == [
        ("a", "published"),
        ("b", "failed"),
        ("c", "failed"),
        ("d", "published"),
    ]


def test_systems_are_polled_side_by_side(publisher, clock):
    meeting = threading.Barrier(4, timeout=10)  # fails the test unless all four meet

    def answer() -> bytes:
        meeting.wait()
        return body()

    results = Poller(many("abcd"), served("abcd", answer).get, publisher, clock).poll("station_status")
    assert {result.outcome for result in results} == {"published"}


def test_overlapping_polls_of_a_system_publish_once(poller, feeds, publisher):
    entered, go_on = threading.Semaphore(0), threading.Event()

    def slow() -> bytes:
        entered.release()
        assert go_on.wait(10)
        return body()

    feeds.give(STATUS, slow)
    results: list[PollResult] = []
    polls = [threading.Thread(target=lambda: results.extend(poller.poll("station_status"))) for _ in range(2)]
    for poll in polls:
        poll.start()
    assert entered.acquire(timeout=10)
    second_at_the_same_time = entered.acquire(timeout=0.1)
    go_on.set()
    for poll in polls:
        poll.join(10)
    assert not second_at_the_same_time
    assert sorted(result.outcome for result in results) == ["published", "unchanged"]
    assert len(publisher.published) == 1


def test_polls_do_not_pile_up_behind_one_that_hangs(feeds, publisher, clock):
    entered, go_on = threading.Event(), threading.Event()

    def hanging() -> bytes:
        entered.set()
        assert go_on.wait(10)
        return body()

    feeds.give(STATUS, hanging, body())
    feeds.give(INFORMATION, body())
    poller = Poller([explicit("velib")], feeds.get, publisher, clock, longest_busy_s=0.01)
    first = threading.Thread(target=poller.poll, args=("station_status",))
    first.start()
    assert entered.wait(10)
    try:
        (late,) = poller.poll("station_status")
        assert (late.outcome, late.detail) == ("failed", "an earlier poll of this feed is still running")
        assert [r.outcome for r in poller.poll("station_information")] == ["published"]
    finally:
        go_on.set()
        first.join(10)
    assert [r.outcome for r in poller.poll("station_status")] == ["unchanged"]


def due(poller: Poller) -> list[str]:
    return [result.system for result in poller.poll("station_status", only_due=True)]


def test_a_schedule_polls_each_system_at_its_own_pace(publisher, clock):
    systems = [*many("a", poll_s=60), *many("b", poll_s=180)]
    poller = Poller(systems, served("ab").get, publisher, clock)
    polled = []
    for late_s in (0.4, 0.0, 0.3, 0.1):
        polled.append(due(poller))
        clock.now_s += 60 - late_s
    assert polled == [["a", "b"], ["a"], ["a"], ["a", "b"]]


def test_a_slow_answer_does_not_cost_the_next_poll(publisher, clock):
    def slow() -> bytes:
        clock.now_s += 30
        return body()

    poller = Poller(many("a"), served("a", slow).get, publisher, clock)
    due(poller)
    clock.now_s += 30
    assert due(poller) == ["a"]


def test_a_failed_poll_is_due_at_the_next_tick(publisher, clock):
    poller = Poller(many("a", poll_s=3600), served("a", status(500), body()).get, publisher, clock)
    due(poller)
    clock.now_s += 60
    assert due(poller) == ["a"]
    clock.now_s += 60
    assert due(poller) == []


@pytest.mark.parametrize(("retry_after_s", "pause_s"), [(150.0, 180), (1e9, 3600)])
def test_the_schedule_respects_retry_after_up_to_an_hour(publisher, clock, retry_after_s, pause_s):
    feeds = served("a", status(429, retry_after_s=retry_after_s), body())
    poller = Poller(many("a"), feeds.get, publisher, clock)
    polled = []
    for now_s in (0, 60, pause_s - 60, pause_s):
        clock.now_s = 1000.0 + now_s
        polled.append(due(poller))
    assert polled == [["a"], [], [], ["a"]]


def test_without_a_schedule_a_poll_is_always_due(poller):
    assert [len(poller.poll("station_status")) for _ in range(2)] == [1, 1]
