"""Sums over the stations of a system. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

FLOW: Final = timedelta(minutes=30)

Row = Mapping[str, Any]
_ADDED: Final = ("bikes", "mechanical", "ebikes", "other_vehicles", "docks")
_COUNTED: Final = {"empty": "is_empty", "full": "is_full", "closed": "is_closed"}


@dataclass(frozen=True, slots=True)
class Flow:
    """Bikes (picked up, dropped off) by station in the half hour before `until`."""

    until: datetime | None
    moved: Mapping[str, tuple[int, int]]

    def net(self, station_id: str) -> int:
        pickups, dropoffs = self.moved.get(station_id, (0, 0))
        return dropoffs - pickups

    def total(self, stations: Iterable[str]) -> dict[str, Any] | None:
        """The sum over these stations, because a city may have other systems; None without stations."""
        moved = [self.moved.get(station, (0, 0)) for station in stations]
        if self.until is None or not moved:
            return None
        pickups, dropoffs = (sum(bikes) for bikes in zip(*moved, strict=True))
        return {
            "since_ts": self.until - FLOW,
            "until_ts": self.until,
            "pickups": pickups,
            "dropoffs": dropoffs,
            "net": dropoffs - pickups,
        }


def summary(stations: Iterable[Row], stations_known: int | None) -> dict[str, Any]:
    """Sums over the stations that report; None for a value that none of them has.

    Args:
        stations: rows of the latest state.
        stations_known: number of stations in the newest station information.
    """
    reporting = [row for row in stations if row["is_reporting"]]
    added: dict[str, int | None] = {}
    for name in _ADDED:
        stated = [row[name] for row in reporting if row[name] is not None]
        added[name] = sum(stated) if stated else None
    return {
        **added,
        **{
            name: sum(row[flag] is True for row in reporting) if reporting else None
            for name, flag in _COUNTED.items()
        },
        "stations_reporting": len(reporting),
        "stations_known": stations_known,
        "coverage_ratio": len(reporting) / stations_known if stations_known else None,
    }
