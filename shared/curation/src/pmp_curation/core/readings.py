"""Readings: the values of a station that are compared between polls, all except `last_reported`."""

from functools import lru_cache
from typing import Any, Final, Self

import msgspec

from pmp_schema.gbfs import StationStatus, StatusReader
from pmp_schema.timestamps import EPOCH


class Values(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Counts and flags of a station, as in its row of `station_status`; None where unknown."""

    bikes: int | None
    docks: int | None
    mechanical: int | None
    ebikes: int | None
    other_vehicles: int | None
    bikes_disabled: int | None
    is_installed: bool | None
    is_renting: bool | None
    is_returning: bool | None

    @property
    def counts(self) -> tuple[int | None, ...]:
        return self.bikes, self.docks, self.mechanical, self.ebikes, self.other_vehicles, self.bikes_disabled


class Reading(msgspec.Struct, frozen=True, gc=False):
    """The entry of a station, without its `last_reported`.

    Attributes:
        quality: findings, see `pmp_schema.gbfs.quality`.
        is_closed: known to be not installed or not renting.
        is_empty: open and without bikes.
        is_full: open and without free docks.
    """

    values: Values
    quality: tuple[str, ...]
    is_closed: bool
    is_empty: bool
    is_full: bool

    @classmethod
    def of(cls, status: StationStatus) -> Self:
        is_closed = status.is_installed is False or status.is_renting is False
        return cls(
            values=Values(
                status.bikes,
                status.docks,
                status.mechanical,
                status.ebikes,
                status.other_vehicles,
                status.bikes_disabled,
                status.is_installed,
                status.is_renting,
                status.is_returning,
            ),
            quality=status.quality,
            is_closed=is_closed,
            is_empty=not is_closed and status.bikes == 0,
            is_full=not is_closed and status.docks == 0,
        )


VALUE_NAMES: Final = Values.__struct_fields__

SCALARS: Final = (
    *("num_bikes_available", "num_vehicles_available", "numBikesAvailable"),
    *("num_docks_available", "numDocksAvailable", "num_bikes_disabled", "num_vehicles_disabled"),
    *("num_ebikes_available", "num_scooters_available", "is_installed", "is_renting", "is_returning"),
)
BREAKDOWNS: Final = ("vehicle_types_available", "num_bikes_available_types")
"""With `SCALARS` all keys of an entry that its `Values` depend on."""

_reader: Final = StatusReader(EPOCH)  # not used to read times


@lru_cache(maxsize=1 << 14)
def read(scalars: tuple[object, ...], *breakdowns: bytes) -> Reading:
    """The reading of an entry: a pure function of these parts, cached.

    Args:
        scalars: values of `SCALARS`, None where absent. Integers and strings only, because the cache would confuse
            values such as `true` and 1.
        breakdowns: JSON of `BREAKDOWNS`, empty where absent.

    Raises:
        msgspec.DecodeError: a breakdown has a number beyond a double.
    """
    entry: dict[str, Any] = dict(zip(SCALARS, scalars, strict=True))
    for key, text in zip(BREAKDOWNS, breakdowns, strict=True):
        if text:
            entry[key] = msgspec.json.decode(text)
    return Reading.of(_reader.read("", entry))
