"""What the dashboard answers, kept, so that the cost depends on the time and not on who asks what how often."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, Protocol

import msgspec

from pmp_dashboard.answers import Answers
from pmp_dashboard.marts import System

SLOWER: Final = 3  # totals are of hours, features come twice an hour; and so often does a page ask
PERIODS: Final = (24, 168, 744)  # hours; totals of other lengths are cut from the next longer one
SYSTEMS_ROOM: Final = 192  # six questions on each of 32 systems; of one like Vélib they take some 10 MB
STATIONS_ROOM: Final = 128  # bounds what somebody costs who asks for all stations in turn


class Answering(Protocol):
    """Every method raises `RetryableError` where the marts do not answer."""

    def health(self) -> dict[str, Any]: ...

    def stations(self, system: System) -> dict[str, Any]: ...

    def totals(self, system: System, hours: int) -> dict[str, Any]: ...

    def features(self, system: System) -> dict[str, Any]: ...

    def known(self, system: System) -> dict[str, dict[str, Any] | None]:
        """Every station that can be asked for, with its information where there is any."""

    def history(self, system: System, station_id: str) -> dict[str, Any]: ...


class UnknownSystem(LookupError):
    """The pipeline has never seen it."""


class UnknownStation(LookupError):
    """No station information and no row of the last days names it."""


@dataclass(frozen=True)
class Answer:
    content: dict[str, Any]

    @cached_property
    def body(self) -> bytes:
        """JSON as it goes out, compressed."""
        return gzip.compress(msgspec.json.encode(self.content), compresslevel=6)


class Board:
    """Only systems and stations that are known are asked for, each at most once in the time that its answer is kept.

    Every method but `health` raises `UnknownSystem`, and `TooManyQuestions` where too many others are being looked at.

    Args:
        fresh_s: seconds that answers of the live tables are kept, the slower ones three times as long.
    """

    def __init__(self, marts: Answering, *, fresh_s: float) -> None:
        self._marts = marts
        self._fresh_s = fresh_s
        self._slow_s = SLOWER * fresh_s
        self._healths: Answers[Answer] = Answers(room=1)
        self._of_systems: Answers[Answer] = Answers(room=SYSTEMS_ROOM)
        self._of_stations: Answers[Answer] = Answers(room=STATIONS_ROOM)

    def health(self) -> Answer:
        return self._healths.get(
            "health", self._fresh_s, lambda: Answer(self._marts.health() | {"refresh_s": self._slow_s})
        )

    def stations(self, system_id: str) -> Answer:
        return self._of_system("stations", system_id, self._fresh_s, self._marts.stations)

    def features(self, system_id: str) -> Answer:
        return self._of_system("features", system_id, self._slow_s, self._marts.features)

    def totals(self, system_id: str, hours: int) -> Answer:
        """Args:
        hours: 1 to the longest of `PERIODS`.
        """
        period = next(period for period in PERIODS if hours <= period)
        answer = self._of_system(
            f"totals {period}", system_id, self._slow_s, lambda system: self._marts.totals(system, period)
        )
        return answer if hours == period else Answer(_last(answer.content, timedelta(hours=hours)))

    def station(self, system_id: str, station_id: str) -> Answer:
        """Raises:
        UnknownStation: nothing is known of it.
        """
        known = self._of_system("known", system_id, self._slow_s, self._marts.known).content
        if station_id not in known:
            raise UnknownStation(station_id)
        features = self.features(system_id).content
        system = self._system(system_id)
        return self._of_stations.get(
            (system_id, station_id),
            self._slow_s,
            lambda: Answer(
                self._marts.history(system, station_id)
                | {
                    "information": known[station_id],
                    "features": {
                        "as_of": features["as_of"],
                        "values": features["features"].get(station_id, {}),
                    },
                }
            ),
        )

    def _of_system(
        self, question: str, system_id: str, fresh_s: float, ask: Callable[[System], dict[str, Any]]
    ) -> Answer:
        system = self._system(system_id)
        return self._of_systems.get((question, system_id), fresh_s, lambda: Answer(ask(system)))

    def _system(self, system_id: str) -> System:
        for row in self.health().content["systems"]:
            if row["system_id"] == system_id:
                return System.from_health(row)
        raise UnknownSystem(system_id)


def _last(totals: dict[str, Any], length: timedelta) -> dict[str, Any]:
    """The same answer with the last hours only, as the query would have cut it."""
    since = (totals["newest_feed_ts"] or totals["generated_ts"]) - length
    return totals | {"hours": [row for row in totals["hours"] if row["hour_ts"] > since]}
