"""A queue of simulated events in the order of their time."""

import heapq
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Any, Final

from pmp_schema.timestamps import from_micros, to_micros

DAY_US: Final = 86_400_000_000
MINUTE_US: Final = 60_000_000


class Timeline:
    """A queue of calls. Times are whole microseconds, which a formatted time keeps.

    Attributes:
        now: time of the current call, or else the time reached; aware UTC.
    """

    def __init__(self, start_at: datetime) -> None:
        self._now_us = to_micros(start_at)
        self._tickets = count()  # calls at the same instant run in the order of their scheduling
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []

    @property
    def now(self) -> datetime:
        return from_micros(self._now_us)

    def schedule(self, delay_us: int, happen: Callable[..., None], *arguments: Any) -> None:
        at_us = self._now_us + max(1, delay_us)
        heapq.heappush(self._queue, (at_us, next(self._tickets), happen, arguments))

    def run_until(self, at: datetime) -> None:
        """Makes every call that is due until `at`, inclusive.

        Raises:
            ValueError: `at` is before `now`.
        """
        until_us = to_micros(at)
        if until_us < self._now_us:
            raise ValueError(
                f"simulated time is {self.now.isoformat()} and cannot go back to {at.isoformat()}"
            )
        while self._queue and self._queue[0][0] <= until_us:
            self._now_us, _, happen, arguments = heapq.heappop(self._queue)
            happen(*arguments)
        self._now_us = until_us
