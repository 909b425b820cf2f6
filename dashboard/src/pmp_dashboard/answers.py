"""Answers that many viewers share: kept for some seconds, asked for once at a time."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Answer(Generic[T]):
    """Attributes:
    until_s: monotonic time until which it is given again; None while the question is being asked.
    """

    future: "Future[T]" = field(default_factory=Future)
    until_s: float | None = None


class Answers(Generic[T]):
    """Args:
    room: answers kept at most; the one longest unused goes first.
    monotonic: clock, seconds.
    """

    def __init__(self, *, room: int = 256, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._room = room
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Answer[T]] = OrderedDict()

    def get(self, question: Hashable, fresh_s: float, ask: Callable[[], T]) -> T:
        """The kept answer, or a new one; who comes while it is being asked for waits for the same.

        Args:
            question: names it.
            fresh_s: seconds that the answer is kept from when it has come.
            ask: is bounded in time. What it raises goes to all who wait, and is not kept.
        """
        with self._lock:
            answer = self._kept.get(question)
            is_mine = answer is None or (answer.until_s is not None and answer.until_s <= self._monotonic())
            if answer is None or is_mine:
                answer = self._kept[question] = _Answer()
            self._kept.move_to_end(question)
            while len(self._kept) > self._room:
                self._kept.popitem(last=False)
        if is_mine:
            self._ask(question, answer, fresh_s, ask)
        return answer.future.result()

    def _ask(self, question: Hashable, answer: _Answer[T], fresh_s: float, ask: Callable[[], T]) -> None:
        try:
            found = ask()
        except BaseException as failure:
            with self._lock:
                if self._kept.get(question) is answer:
                    del self._kept[question]
            answer.future.set_exception(failure)
            raise
        answer.until_s = self._monotonic() + fresh_s
        answer.future.set_result(found)
