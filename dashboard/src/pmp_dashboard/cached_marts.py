"""The dashboard's answers, cached: the cost of queries depends on time, not on the number of requests or clients."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

import msgspec

from pmp_dashboard.cache import Cache
from pmp_dashboard.marts import Marts, System

SLOWER: Final = 3  # totals change hourly, features twice an hour; the page refreshes at this pace too
PERIODS: Final = (24, 168, 744)  # hours; totals of other lengths are cut from the next longer period
SYSTEMS_ROOM: Final = 192  # six answers for each of 32 systems; about 10 MB for a system like Vélib
STATIONS_ROOM: Final = 128  # bounds the cost of a client that requests every station in turn


class UnknownSystem(LookupError):
    """The pipeline has never seen the system."""


class UnknownStation(LookupError):
    """Neither station information nor a row of the last days has the station."""


@dataclass(frozen=True)
class Answer:
    content: dict[str, Any]

    @cached_property
    def body(self) -> bytes:
        """JSON, compressed with gzip."""
        return gzip.compress(msgspec.json.encode(self.content), compresslevel=6)


class CachedMarts:
    """Queries only known systems and stations, each at most once within the lifetime of its answer.

    Every method except `health` raises `UnknownSystem`, and `CacheFull` when too many others are being viewed.

    Args:
        fresh_s: lifetime of the answers from live tables, in seconds; the slower answers live three times as long.
    """

    def __init__(self, marts: Marts, *, fresh_s: float) -> None:
        self._marts = marts
        self._fresh_s = fresh_s
        self._slow_s = SLOWER * fresh_s
        self._health: Cache[Answer] = Cache(room=1)
        self._of_systems: Cache[Answer] = Cache(room=SYSTEMS_ROOM)
        self._of_stations: Cache[Answer] = Cache(room=STATIONS_ROOM)

    def health(self) -> Answer:
        return self._health.get(
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
        return answer if hours == period else Answer(_last_hours(answer.content, hours))

    def station(self, system_id: str, station_id: str) -> Answer:
        """Raises:
        UnknownStation: the system has no such station.
        """
        known = self._of_system("known", system_id, self._slow_s, self._marts.known).content
        if station_id not in known:
            raise UnknownStation(station_id)
        features = self.features(system_id).content
        system = self._system(system_id)

        def query() -> Answer:
            values = features["features"].get(station_id, {})
            parts = {
                "information": known[station_id],
                "features": {"as_of": features["as_of"], "values": values},
            }
            return Answer(self._marts.history(system, station_id) | parts)

        return self._of_stations.get((system_id, station_id), self._slow_s, query)

    def _of_system(
        self, question: str, system_id: str, ttl_s: float, query: Callable[[System], dict[str, Any]]
    ) -> Answer:
        system = self._system(system_id)
        return self._of_systems.get((question, system_id), ttl_s, lambda: Answer(query(system)))

    def _system(self, system_id: str) -> System:
        for row in self.health().content["systems"]:
            if row["system_id"] == system_id:
                return System.from_health(row)
        raise UnknownSystem(system_id)


def _last_hours(totals: dict[str, Any], hours: int) -> dict[str, Any]:
    """The last hours of a longer period, as a query would return them."""
    since = (totals["newest_feed_ts"] or totals["generated_ts"]) - timedelta(hours=hours)
    return totals | {"hours": [row for row in totals["hours"] if row["hour_ts"] > since]}
