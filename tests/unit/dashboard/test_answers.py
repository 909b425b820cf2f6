"""Answers that many share."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pmp_dashboard.answers import Answers, TooManyQuestions
from tests.fakes.clock import Clock


class Source:
    """Answers with how often it was asked; holds each answer back until the gate is open."""

    def __init__(self, *, is_open=True):
        self.asked, self.gate = 0, threading.Event()
        self.began = threading.Event()
        if is_open:
            self.gate.set()

    def __call__(self):
        self.asked += 1
        self.began.set()
        assert self.gate.wait(20)
        return self.asked


def test_an_answer_is_given_again_until_its_time_is_over():
    clock, source = Clock(), Source()
    answers = Answers(room=1, monotonic=clock)
    found = []
    for now_s in (100.0, 109.9, 110.0, 119.9, 120.0):
        clock.now_s = now_s
        found.append(answers.get("q", 10.0, source))
    assert found == [1, 1, 2, 2, 3]


def test_who_comes_while_a_question_is_asked_waits_for_the_same_answer():
    source = Source(is_open=False)
    answers = Answers(room=2)
    with ThreadPoolExecutor(8) as viewers:
        first = viewers.submit(answers.get, "q", 10.0, source)
        assert source.began.wait(20)
        others = [viewers.submit(answers.get, "q", 10.0, source) for _ in range(7)]
        source.gate.set()
        assert [viewer.result(20) for viewer in (first, *others)] == [1] * 8
    assert source.asked == 1


def test_another_question_does_not_wait():
    slow, quick = Source(is_open=False), Source()
    answers = Answers(room=2)
    with ThreadPoolExecutor(1) as viewers:
        waiting = viewers.submit(answers.get, "slow", 10.0, slow)
        assert slow.began.wait(20)
        assert answers.get("quick", 10.0, quick) == 1
        slow.gate.set()
        assert waiting.result(20) == 1


def test_a_failure_goes_to_all_who_wait_and_is_not_kept():
    source = Source(is_open=False)
    answers = Answers(room=2)

    def fail():
        source()
        raise LookupError("no")

    with ThreadPoolExecutor(3) as viewers:
        first = viewers.submit(answers.get, "q", 10.0, fail)
        assert source.began.wait(20)
        others = [viewers.submit(answers.get, "q", 10.0, fail) for _ in range(2)]
        source.gate.set()
        for viewer in (first, *others):
            with pytest.raises(LookupError):
                viewer.result(20)
    assert answers.get("q", 10.0, lambda: "better") == "better"


def test_no_fresh_answer_gives_way_to_another():
    clock, sources = Clock(), {name: Source() for name in "abc"}
    answers = Answers(room=2, monotonic=clock)
    answers.get("a", 10.0, sources["a"])
    answers.get("b", 20.0, sources["b"])
    with pytest.raises(TooManyQuestions):
        answers.get("c", 10.0, sources["c"])
    assert answers.get("a", 10.0, sources["a"]) == 1
    clock.now_s += 10.0
    assert answers.get("c", 10.0, sources["c"]) == 1
    with pytest.raises(TooManyQuestions):
        answers.get("a", 10.0, sources["a"])
    assert {name: source.asked for name, source in sources.items()} == {"a": 1, "b": 1, "c": 1}


def test_a_question_that_is_being_asked_takes_its_room_and_one_that_failed_none():
    slow, quick = Source(is_open=False), Source()
    answers = Answers(room=1)

    def fail():
        slow()
        raise LookupError("no")

    with ThreadPoolExecutor(1) as viewers:
        waiting = viewers.submit(answers.get, "slow", 10.0, fail)
        assert slow.began.wait(20)
        with pytest.raises(TooManyQuestions):
            answers.get("quick", 10.0, quick)
        slow.gate.set()
        with pytest.raises(LookupError):
            waiting.result(20)
    assert answers.get("quick", 10.0, quick) == 1
