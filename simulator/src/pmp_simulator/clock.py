"""Simulated time: real time, shifted and stretched."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class SimulatedClock:
    """Runs from `start` at `speed` simulated seconds per real second, from the moment it is made.

    Attributes:
        start: simulated time of the first instant, aware.
        speed: simulated seconds per real second, above zero.
        monotonic: real seconds from any origin.
    """

    start: datetime
    speed: float = 1.0
    monotonic: Callable[[], float] = time.monotonic
    _origin_s: float = field(init=False)

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError(f"speed is {self.speed}: it must be above zero")
        object.__setattr__(self, "_origin_s", self.monotonic())

    def now(self) -> datetime:
        return self.start + timedelta(seconds=(self.monotonic() - self._origin_s) * self.speed)


def floor_minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
