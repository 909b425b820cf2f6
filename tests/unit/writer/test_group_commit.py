import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_schema.errors import QueueFull, SinkUnavailable
from pmp_writer.group_commit import GroupCommit, Limits, estimate_bytes
from tests.fakes.waiting import eventually

PATIENCE_S = 20  # for what must happen; nothing waits that long unless a test fails
LIMITS = Limits(
    appends_in_flight=1,
    batch_rows=100,
    batch_bytes=1_000_000,
    queue_rows=100,
    queue_bytes=1_000_000,
    timeout_s=PATIENCE_S,
)


class Gate:
    """An append that waits to be told how to end."""

    def __init__(self):
        self.batches = []
        self.timeouts = []
        self._arrived = threading.Semaphore(0)
        self._answers = []
        self._answered = threading.Condition()

    def __call__(self, rows, *, timeout_s):
        with self._answered:
            number = len(self.batches)
            self.batches.append([row["id"] for row in rows])
            self.timeouts.append(timeout_s)
            self._arrived.release()
            assert self._answered.wait_for(lambda: len(self._answers) > number, PATIENCE_S)
            answer = self._answers[number]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def arrived(self):
        """Waits until one more append has begun."""
        assert self._arrived.acquire(timeout=PATIENCE_S)

    def answer(self, *answers):
        """Ends the next appends, in the order of their beginnings: with rejects, or with an exception."""
        with self._answered:
            self._answers += answers or ([],)
            self._answered.notify_all()


def row(number, **columns):
    return {"id": number} | columns


class Bench:
    """A group commit behind a gate, its requests in threads of their own."""

    def __init__(self, pool, limits):
        self.gate = Gate()
        self.commit = GroupCommit(self.gate, limits)
        self._pool = pool

    def submit(self, *rows):
        return self._pool.submit(self.commit.submit, rows)

    def appending(self, *rows):
        """Submits rows whose append begins at once."""
        request = self.submit(*rows)
        self.gate.arrived()
        return request

    def queued(self, *rows):
        """Submits rows that have to wait."""
        before = self.commit.waiting_rows
        request = self.submit(*rows)
        eventually(lambda: self.commit.waiting_rows == before + len(rows), every_s=0.001)
        return request


@pytest.fixture
def bench():
    with ThreadPoolExecutor(16) as pool:
        yield lambda **changes: Bench(pool, replace(LIMITS, **changes))


def result(request):
    return request.result(PATIENCE_S)


def failure(request):
    return request.exception(PATIENCE_S)


def test_an_idle_commit_appends_each_request_alone_and_at_once():
    batches = []

    def append(rows, *, timeout_s):
        batches.append(list(rows))
        return []

    commit = GroupCommit(append, LIMITS)
    assert [commit.submit([row(n)]) for n in range(3)] == [[], [], []]
    assert batches == [[row(0)], [row(1)], [row(2)]]


def test_no_rows_ask_nothing():
    assert GroupCommit(Gate(), LIMITS).submit([]) == []


def test_requests_append_side_by_side_up_to_the_limit(bench):
    bench = bench(appends_in_flight=3)
    requests = [bench.appending(row(n)) for n in range(3)]
    waiting = bench.queued(row(3))
    assert (bench.commit.in_flight, bench.gate.batches) == (3, [[0], [1], [2]])
    bench.gate.answer([], [], [], [])
    assert [result(request) for request in [*requests, waiting]] == [[]] * 4


def test_what_waits_behind_a_busy_append_is_one_batch(bench):
    bench = bench()
    first = bench.appending(row(0))
    others = [bench.queued(row(n), row(n, again=True)) for n in (1, 2, 3)]
    bench.gate.answer([], [])
    assert [result(request) for request in [first, *others]] == [[]] * 4
    assert bench.gate.batches == [[0], [1, 1, 2, 2, 3, 3]]
    assert bench.gate.timeouts == [PATIENCE_S] * 2


def test_a_request_is_answered_only_after_its_append(bench):
    bench = bench()
    first, second = bench.appending(row(0)), bench.queued(row(1))
    bench.gate.answer()
    assert result(first) == []
    bench.gate.arrived()
    assert not second.done()
    bench.gate.answer()
    assert result(second) == []


def test_a_batch_is_capped_in_rows_and_keeps_requests_whole(bench):
    bench = bench(batch_rows=3)
    requests = [bench.appending(row(0))]
    requests += [bench.queued(row(n), row(n)) for n in (1, 2)]
    requests += [bench.queued(row(3)), bench.queued(*[row(4)] * 5), bench.queued(row(5))]
    bench.gate.answer(*[[]] * 5)
    assert [result(request) for request in requests] == [[]] * 6
    assert bench.gate.batches == [[0], [1, 1], [2, 2, 3], [4] * 5, [5]]


def test_a_batch_is_capped_in_bytes(bench):
    bench = bench(batch_bytes=2 * estimate_bytes(row(0, data=b"x" * 1000)))
    requests = [bench.appending(row(0))]
    requests += [bench.queued(row(n, data=b"x" * 1000)) for n in (1, 2, 3)]
    bench.gate.answer([], [], [])
    assert [result(request) for request in requests] == [[]] * 4
    assert bench.gate.batches == [[0], [1, 2], [3]]


@pytest.mark.parametrize("limits", [{"queue_rows": 2}, {"queue_bytes": 2 * estimate_bytes(row(0))}])
def test_a_full_queue_refuses_at_once_and_nothing_of_the_request_stays(bench, limits):
    bench = bench(**limits)
    requests = [bench.appending(row(0)), bench.queued(row(1)), bench.queued(row(2))]
    with pytest.raises(QueueFull):
        bench.commit.submit([row(3)])
    bench.gate.answer([], [])
    assert [result(request) for request in requests] == [[]] * 3
    assert bench.gate.batches == [[0], [1, 2]]
    assert (bench.commit.in_flight, bench.commit.waiting_rows) == (0, 0)


def test_a_request_above_the_queues_limit_is_taken_by_an_empty_queue(bench):
    bench = bench(queue_rows=2, batch_rows=2)
    requests = [bench.appending(row(0)), bench.queued(*[row(1)] * 5)]
    bench.gate.answer([], [])
    assert [result(request) for request in requests] == [[], []]


def test_rejects_go_to_the_request_of_their_row(bench):
    bench = bench()
    bench.appending(row(0))
    same = row(2)  # equal to a row of another request, but not the same object
    b, d, f = (RejectedRow(one, "bad") for one in (row(2), row(4), row(6)))
    requests = [
        bench.queued(row(1), b.row),
        bench.queued(same),
        bench.queued(d.row, row(5), f.row),
    ]
    bench.gate.answer([], [b, d, f])
    assert [result(request) for request in requests] == [[b], [], [d, f]]


def test_a_rejected_copy_of_a_row_acknowledges_nothing(bench):
    bench = bench()
    request = bench.appending(row(0))
    bench.gate.answer([RejectedRow(row(0), "bad")])
    with pytest.raises(SinkUnavailable, match="not of this batch"):
        result(request)


def test_a_failure_reaches_exactly_the_requests_of_its_batch(bench):
    bench = bench(batch_rows=2)
    first = bench.appending(row(0))
    failing = [bench.queued(row(1)), bench.queued(row(2))]
    last = bench.queued(row(3))
    bench.gate.answer([], SinkUnavailable("UNAVAILABLE"), [])
    assert (result(first), result(last)) == ([], [])
    errors = [failure(request) for request in failing]
    assert [(type(error), str(error)) for error in errors] == [(SinkUnavailable, "UNAVAILABLE")] * 2
    assert errors[0] is not errors[1]


def test_a_bug_is_raised_where_it_happened_and_is_retryable_for_the_others(bench):
    bench = bench()
    first = bench.appending(row(0))
    leader, follower = bench.queued(row(1)), bench.queued(row(2))
    bug = ZeroDivisionError("bug")
    bench.gate.answer([], bug)
    assert result(first) == []
    assert failure(leader) is bug
    assert isinstance(failure(follower), SinkUnavailable)
    assert (bench.commit.in_flight, bench.commit.waiting_rows) == (0, 0)


def test_a_bug_costs_no_slot_and_the_queue_goes_on(bench):
    bench = bench()
    first, second = bench.appending(row(0)), bench.queued(row(1))
    bench.gate.answer(ZeroDivisionError("bug"), [])
    assert isinstance(failure(first), ZeroDivisionError)
    assert result(second) == []
    assert bench.commit.in_flight == 0


def test_waiting_in_the_queue_is_bounded(bench):
    bench = bench(timeout_s=0.1)
    first = bench.appending(row(0))
    with pytest.raises(SinkUnavailable, match="waited too long"):
        bench.commit.submit([row(1)])
    assert bench.commit.waiting_rows == 0
    bench.gate.answer()
    assert result(first) == []
    assert bench.gate.batches == [[0]]
    assert bench.commit.in_flight == 0


def test_a_request_whose_append_has_begun_does_not_give_up(bench):
    bench = bench(timeout_s=4)
    first = bench.appending(row(0))
    leader, follower = bench.queued(row(1)), bench.queued(row(2))
    bench.gate.answer()
    assert result(first) == []
    time.sleep(2.1)  # longer than anyone may wait in the queue
    assert not leader.done()
    assert not follower.done()
    bench.gate.answer()
    assert (result(leader), result(follower)) == ([], [])


class Flaky:
    """An append that takes a moment and often fails or rejects; `stored` counts what is durable."""

    def __init__(self, limits):
        self.stored = Counter()
        self.at_once = self.most_at_once = 0
        self._limits = limits
        self._lock = threading.Lock()
        self._random = random.Random(1)

    def __call__(self, rows, *, timeout_s):
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            fate, pause_s = self._random.random(), self._random.random() / 1000
        time.sleep(pause_s)
        with self._lock:
            self.at_once -= 1
            assert len(rows) <= self._limits.batch_rows
            if fate < 0.1:
                raise SinkUnavailable("now and then")
            if fate < 0.15:
                raise ZeroDivisionError("bug")
            self.stored.update(row["id"] for row in rows if not row["bad"])
            return [RejectedRow(row, str(row["id"])) for row in rows if row["bad"]]


def test_under_stress_every_row_is_appended_exactly_once_or_named_or_refused():
    limits = replace(LIMITS, appends_in_flight=4, batch_rows=20, queue_rows=60, timeout_s=PATIENCE_S)
    append = Flaky(limits)
    commit = GroupCommit(append, limits)
    outcomes = Counter()
    expected, refused, problems = Counter(), set(), []
    lock = threading.Lock()

    def submit_many(thread):
        chance = random.Random(thread)
        for number in range(150):
            rows = [
                row((thread, number, part), bad=chance.random() < 0.1) for part in range(chance.randint(1, 4))
            ]
            good = [r["id"] for r in rows if not r["bad"]]
            try:
                rejects = commit.submit(rows)
            except (QueueFull, SinkUnavailable, ZeroDivisionError) as error:
                with lock:
                    outcomes[type(error).__name__] += 1
                    refused.update(good)
                continue
            with lock:
                outcomes["durable"] += 1
                expected.update(good)
                named = [(id(reject.row), reject.detail) for reject in rejects]
                if named != [(id(r), str(r["id"])) for r in rows if r["bad"]]:
                    problems.append((rows, rejects))

    threads = [threading.Thread(target=submit_many, args=(n,), daemon=True) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads), "a request was never woken"
    assert problems == []
    assert append.stored == expected
    assert not refused & append.stored.keys()
    assert append.most_at_once == limits.appends_in_flight
    assert (commit.in_flight, commit.waiting_rows) == (0, 0)
    assert outcomes.keys() == {"durable", "QueueFull", "SinkUnavailable", "ZeroDivisionError"}
