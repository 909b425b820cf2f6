"""Polling many systems: side by side, at their own pace, and none in the way of another."""

import threading

import pytest

from pmp_collector.config import System
from pmp_collector.poll import Poller, PollResult
from tests.fakes.clock import Clock
from tests.fakes.feeds import FakeFeeds, body, status
from tests.fakes.recording import RecordingPublisher

STATUS, INFORMATION = "https://feeds.test/status", "https://feeds.test/information"
VELIB = System(id="velib", station_status_url=STATUS, station_information_url=INFORMATION)


@pytest.fixture
def feeds() -> FakeFeeds:
    return FakeFeeds({STATUS: [body()]})


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def many(names: str, **fields) -> list[System]:
    return [
        System(
            id=name,
            station_status_url=f"https://{name}.test/",
            station_information_url=f"https://{name}.test/i",
            **fields,
        )
        for name in names
    ]


def test_one_system_alone_can_be_polled(publisher, clock):
    feeds = FakeFeeds({"https://b.test/": [body()]})
    (result,) = Poller(many("abc"), feeds.get, publisher, clock).poll("station_status", "b")
    assert (result.system, result.outcome) == ("b", "published")


def test_a_failing_system_never_disturbs_the_others(publisher, clock):
    feeds = FakeFeeds({f"https://{name}.test/": [body()] for name in "abcd"})
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
    meeting = threading.Barrier(
        4, timeout=10
    )  # breaks, and fails the test, unless all four are there at once

    def answer() -> bytes:
        meeting.wait()
        return body()

    feeds = FakeFeeds({f"https://{name}.test/": [answer] for name in "abcd"})
    results = Poller(many("abcd"), feeds.get, publisher, clock).poll("station_status")
    assert {result.outcome for result in results} == {"published"}


def test_overlapping_polls_of_a_system_publish_once(feeds, publisher, clock):
    entered, go_on = threading.Semaphore(0), threading.Event()

    def slow() -> bytes:
        entered.release()
        assert go_on.wait(10)
        return body()

    feeds.give(STATUS, slow)
    poller = Poller([VELIB], feeds.get, publisher, clock)
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
    poller = Poller([VELIB], feeds.get, publisher, clock, longest_busy_s=0.01)
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
    feeds = FakeFeeds({"https://a.test/": [body()], "https://b.test/": [body()]})
    poller = Poller(systems, feeds.get, publisher, clock)
    polled = []
    for late_s in (0.4, 0.0, 0.3, 0.1):
        polled.append(due(poller))
        clock.now_s += 60 - late_s
    assert polled == [["a", "b"], ["a"], ["a"], ["a", "b"]]


def test_a_slow_answer_does_not_cost_the_next_poll(publisher, clock):
    def slow() -> bytes:
        clock.now_s += 30
        return body()

    poller = Poller(many("a"), FakeFeeds({"https://a.test/": [slow]}).get, publisher, clock)
    due(poller)
    clock.now_s += 30
    assert due(poller) == ["a"]


def test_a_failed_poll_is_due_at_the_next_tick(publisher, clock):
    feeds = FakeFeeds({"https://a.test/": [status(500), body()]})
    poller = Poller(many("a", poll_s=3600), feeds.get, publisher, clock)
    due(poller)
    clock.now_s += 60
    assert due(poller) == ["a"]
    clock.now_s += 60
    assert due(poller) == []


def test_a_server_that_wants_to_be_left_alone_is_left_alone_by_the_schedule(publisher, clock):
    feeds = FakeFeeds({"https://a.test/": [status(429, retry_after_s=150.0), body()]})
    poller = Poller(many("a"), feeds.get, publisher, clock)
    polled = []
    for _ in range(4):
        polled.append(due(poller))
        clock.now_s += 60
    assert polled == [["a"], [], [], ["a"]]


def test_no_server_is_left_alone_for_more_than_an_hour(publisher, clock):
    feeds = FakeFeeds({"https://a.test/": [status(429, retry_after_s=1e9)]})
    poller = Poller(many("a"), feeds.get, publisher, clock)
    due(poller)
    clock.now_s += 3600
    assert due(poller) == ["a"]


def test_without_a_schedule_a_poll_is_always_due(feeds, publisher, clock):
    poller = Poller([VELIB], feeds.get, publisher, clock)
    assert [len(poller.poll("station_status")) for _ in range(2)] == [1, 1]
