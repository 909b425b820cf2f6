"""Reads a station_status of GBFS 1.0 to 3.1 into rows of `station_status`."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pmp_schema.gbfs.document import Document
from pmp_schema.gbfs.quality import BIKES_MISSING, REPORTED_IMPLAUSIBLE, note
from pmp_schema.gbfs.station_list import FlatStation, Flattened, flatten
from pmp_schema.gbfs.values import CountField, read_flag
from pmp_schema.gbfs.vehicles import split_by_kind
from pmp_schema.timestamps import try_parse_timestamp

FIRST_REPORTED_AT: Final = datetime(2015, 12, 15, tzinfo=UTC)
"""GBFS began then; its schemas allow no earlier time. Lyft writes 0, 18001 and 86400 for planned stations."""

REPORTED_SLACK: Final = timedelta(minutes=5)
"""Oslo and Rouen report times seconds after their own feed time; producers' clocks drift by minutes."""

_BIKES: Final = CountField("bikes", "num_bikes_available", ("num_vehicles_available", "numBikesAvailable"))
_DOCKS: Final = CountField("docks", "num_docks_available", ("numDocksAvailable",))
_BIKES_DISABLED: Final = CountField("bikes_disabled", "num_bikes_disabled", ("num_vehicles_disabled",))
_FIRST_REPORTED_S: Final = int(FIRST_REPORTED_AT.timestamp())


class StationStatus(FlatStation, frozen=True, kw_only=True, gc=False):
    """One station at one feed time. Counts are None where unknown; a negative count is unknown.

    Attributes:
        reported_ts: `last_reported` where plausible, aware UTC. In some systems it is a heartbeat, so it neither
            dates nor orders the counts.
        bikes: all available vehicles, as stated.
        docks: free docks; None also where unlimited.
        other_vehicles: scooters and types that are not known.
    """

    reported_ts: datetime | None
    bikes: int | None
    docks: int | None
    mechanical: int | None
    ebikes: int | None
    other_vehicles: int | None
    bikes_disabled: int | None
    is_installed: bool | None
    is_renting: bool | None
    is_returning: bool | None


def flatten_status(document: Document, *, ingest_at: datetime) -> Flattened[StationStatus]:
    """Rows of a station_status.

    Args:
        document: as decoded; any version.
        ingest_at: our clock, aware; `last_reported` more than five minutes ahead of it is dropped.

    Raises:
        PoisonMessage: `schema`; the document has no list of stations.
    """
    return flatten(document, StatusReader(ingest_at).read)


@dataclass(slots=True)
class StatusReader:
    """Reads stations one by one; `ingest_at` as in `flatten_status`."""

    ingest_at: datetime
    _latest: datetime = field(init=False)
    _latest_s: int = field(init=False)

    def __post_init__(self) -> None:
        self._latest = self.ingest_at + REPORTED_SLACK
        self._latest_s = int(self._latest.timestamp())

    def read(self, station_id: str, station: dict[str, Any]) -> StationStatus:
        findings: list[str] = []
        bikes = _BIKES.read(station, findings)
        if bikes is None and not _BIKES.is_present(station):
            note(findings, BIKES_MISSING)
        docks = _DOCKS.read(station, findings)
        mechanical, ebikes, other = split_by_kind(station, bikes, findings)
        return StationStatus(
            station_id=station_id,
            bikes=bikes,
            docks=docks,
            mechanical=mechanical,
            ebikes=ebikes,
            other_vehicles=other,
            bikes_disabled=_BIKES_DISABLED.read(station, findings),
            is_installed=read_flag(station.get("is_installed"), findings),
            is_renting=read_flag(station.get("is_renting"), findings),
            is_returning=read_flag(station.get("is_returning"), findings),
            reported_ts=self.reported(station.get("last_reported"), findings),
            quality=tuple(findings),
        )

    def reported(self, value: object, findings: list[str]) -> datetime | None:
        """`last_reported` where plausible. Its finding is the last one, because it is read after all others."""
        if type(value) is int and _FIRST_REPORTED_S <= value <= self._latest_s:
            return datetime.fromtimestamp(value, UTC)
        if value is None:
            return None
        at = try_parse_timestamp(value)
        if at is None or not FIRST_REPORTED_AT <= at <= self._latest:
            note(findings, REPORTED_IMPLAUSIBLE)
            return None
        return at
