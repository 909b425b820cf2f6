"""Answers that many viewers share: kept for some seconds, asked for once at a time, so many of them and no more."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


class TooManyQuestions(Exception):
    """There is no room for another answer until one of the kept ones is over; nothing was asked."""


@dataclass(slots=True)
class _Answer(Generic[T]):
    """Attributes:
    until_s: monotonic time until which it is given again; None while the question is being asked.
    """

    future: "Future[T]" = field(default_factory=Future)
    until_s: float | None = None

    def is_over(self, now_s: float) -> bool:
        return self.until_s is not None and self.until_s <= now_s


class Answers(Generic[T]):
    """No fresh answer gives way to another, so no one can make a question be asked twice within its time.

    Args:
        room: answers that are fresh or being asked for at a time.
        monotonic: clock, seconds.
    """

    def __init__(self, *, room: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._room = room
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Answer[T]] = {}

    def get(self, question: Hashable, fresh_s: float, ask: Callable[[], T]) -> T:
        """The kept answer, or a new one; who comes while it is being asked for waits for the same.

        Args:
            question: names it.
            fresh_s: seconds that the answer is kept from when it has come.
            ask: is bounded in time. What it raises goes to all who wait, and is not kept.

        Raises:
            TooManyQuestions: as many other answers are fresh as there is room for.
        """
        with self._lock:
            now_s = self._monotonic()
            answer = self._kept.get(question)
            is_mine = answer is None or answer.is_over(now_s)
            if answer is None or is_mine:
                self._make_room(now_s)
                answer = self._kept[question] = _Answer()
        if is_mine:
            self._ask(question, answer, fresh_s, ask)
        return answer.future.result()

    def _make_room(self, now_s: float) -> None:
        self._kept = {name: kept for name, kept in self._kept.items() if not kept.is_over(now_s)}
        if len(self._kept) >= self._room:
            raise TooManyQuestions(f"{self._room} answers are kept")

    def _ask(self, question: Hashable, answer: _Answer[T], fresh_s: float, ask: Callable[[], T]) -> None:
        try:
            found = ask()
        except BaseException as failure:
            with self._lock:
                del self._kept[question]
            answer.future.set_exception(failure)
            raise
        answer.until_s = self._monotonic() + fresh_s
        answer.future.set_result(found)
