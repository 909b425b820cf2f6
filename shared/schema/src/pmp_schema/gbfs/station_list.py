"""From a list of stations to rows: a bad station is rejected alone, never with its snapshot."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.gbfs.document import Document, stations
from pmp_schema.gbfs.quality import DUPLICATE_DIFFERS


class FlatStation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A flattened station.

    Attributes:
        station_id: the id as trimmed text, never empty; an integer becomes its digits.
        quality: findings, see `pmp_schema.gbfs.quality`.
    """

    station_id: str
    quality: tuple[str, ...] = ()


Station = TypeVar("Station", bound=FlatStation)


@dataclass(frozen=True, slots=True)
class RejectedStation:
    """A list entry that cannot be used as a station.

    Attributes:
        raw: the decoded entry.
        reason: always `station_invalid`.
        detail: one line for a person.
    """

    raw: Any
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Flattened(Generic[Station]):
    """A snapshot's stations. Stations, rejected entries and duplicates add up to the entries of the list.

    Attributes:
        stations: one per station id, in the order of first appearance.
        rejected: entries without a usable id.
        duplicates: entries dropped because their id was repeated, identical or not.
        conflicts: how many of them differed from the kept entry; the station has the finding `duplicate_differs`.
    """

    stations: list[Station]
    rejected: list[RejectedStation]
    duplicates: int
    conflicts: int


def flatten(document: Document, build: Callable[[str, dict[str, Any]], Station]) -> Flattened[Station]:
    """Builds one row per station.

    Args:
        document: a station_status or station_information.
        build: makes a row from a station's id and its raw object; must not raise.

    Raises:
        PoisonMessage: `schema`; the document has no list of stations.
    """
    entries = stations(document)
    if entries is None:
        raise PoisonMessage(Reason.SCHEMA, "the document has no list data.stations")
    rows: dict[str, Station] = {}
    rejected: list[RejectedStation] = []
    differing: set[str] = set()
    duplicates = conflicts = 0
    for entry in entries:
        station = entry if type(entry) is dict and "station_id" in entry else _unwrap(entry)
        try:
            station_id = _station_id(station)
        except PoisonMessage as error:
            rejected.append(RejectedStation(entry, error.reason, error.detail))
            continue
        row = build(station_id, station)
        if station_id in rows:
            duplicates += 1
            if row != rows[station_id]:
                conflicts += 1
                differing.add(station_id)
        rows[station_id] = row
    for station_id in differing:
        row = rows[station_id]
        rows[station_id] = msgspec.structs.replace(row, quality=(*row.quality, DUPLICATE_DIFFERS))
    return Flattened(list(rows.values()), rejected, duplicates, conflicts)


def _unwrap(entry: Any) -> Any:
    """CommonsBooking up to 2.10 wraps each station in {"data", "headers", "status"} (commonsbooking#2249)."""
    if isinstance(entry, dict) and isinstance(entry.get("data"), dict):
        return entry["data"]
    return entry


def _station_id(station: Any) -> str:
    if not isinstance(station, dict):
        raise PoisonMessage(Reason.STATION_INVALID, "the entry is not a JSON object")
    value = station.get("station_id")
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise PoisonMessage(
            Reason.STATION_INVALID, "station_id is missing, or neither a string nor an integer"
        )
    station_id = value.strip()
    if not station_id:
        raise PoisonMessage(Reason.STATION_INVALID, "station_id is empty")
    return station_id
