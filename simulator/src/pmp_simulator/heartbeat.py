"""Vélib's `last_reported`: an hourly heartbeat of the whole city, not the time of the counts."""

from datetime import datetime
from typing import Final

from pmp_simulator.chance import seeded

_PERIOD_S: Final = 3600
_FIRST_END_S: Final = 16 * 60  # before the start: for the next half hour the burst is 16 to 46 minutes old
_PUBLISHED_AFTER_S: Final = 15 * 60
_LENGTHS_S: Final = (600, 1500)
_TAIL_S: Final = (85.0, 190.0)
_CORRECTED_SHARE: Final = 0.03
_CORRECTION_S: Final = 605


class Heartbeat:
    """Each hour the stations report in one burst of 10 to 25 minutes, seen when it is 15 minutes old.

    Most report near its end. A few are corrected backwards, by up to 605 s, before the next burst.
    The result depends on the time alone, not on polls.
    """

    def __init__(self, *, seed: int, start_at: datetime, stations: int) -> None:
        self._seed = seed
        self._stations = stations
        self._first_end_s = int(start_at.timestamp()) - _FIRST_END_S
        self._hour = -1
        self._reports: list[int] = []
        self._corrections: list[tuple[int, int, int]] = []

    def reported(self, at: datetime) -> list[int]:
        """The `last_reported` of every station as the feed shows it at `at`, POSIX seconds."""
        at_s = int(at.timestamp())
        hour = max(0, (at_s - _PUBLISHED_AFTER_S - self._first_end_s) // _PERIOD_S)
        if hour != self._hour:
            self._draw(hour)
        reports = self._reports.copy()
        for seen_s, station, reported_s in self._corrections:
            if seen_s <= at_s:
                reports[station] = reported_s
        return reports

    def _draw(self, hour: int) -> None:
        rng = seeded("heartbeat", self._seed, hour)
        end_s = self._first_end_s + hour * _PERIOD_S
        length_s, tail_s = rng.randint(*_LENGTHS_S), rng.uniform(*_TAIL_S)
        start_s = end_s - length_s
        self._hour = hour
        self._reports = [
            max(start_s, end_s - round(rng.expovariate(1 / tail_s))) for _ in range(self._stations)
        ]
        corrected = rng.sample(range(self._stations), round(self._stations * _CORRECTED_SHARE))
        self._corrections = [
            (
                end_s + _PUBLISHED_AFTER_S + rng.randrange(60, _PERIOD_S),
                station,
                max(start_s, self._reports[station] - rng.randint(1, _CORRECTION_S)),
            )
            for station in corrected
        ]
