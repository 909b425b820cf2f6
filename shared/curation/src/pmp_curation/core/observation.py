"""Observation: reads a body into the readings of its stations, fast if the body is plain.

A plain body lists stations with distinct ids and counts written as integers or strings, as all captured feeds do. Only
the needed keys are decoded, and a combination of values that was seen before is not read again. Any other body goes
through `pmp_schema.gbfs.flatten_status`. Both ways give the same result, except that the fast one does not notice a
number beyond a double in a part that it skips.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from pmp_curation.core.readings import Reading, read
from pmp_schema import gbfs

Observation = tuple[Reading, object]
"""A station's reading and its `last_reported`, raw or, if it was read already, as a datetime."""

_NOTHING: Final = msgspec.Raw(b"")
_Count = int | str | None
_Flag = bool | int | str | None


class _Entry(msgspec.Struct, gc=False):
    """A plain entry: id and report time, then `readings.SCALARS`, then `readings.BREAKDOWNS`."""

    station_id: Any
    last_reported: Any = None
    num_bikes_available: _Count = None
    num_vehicles_available: _Count = None
    numBikesAvailable: _Count = None  # noqa: N815 - as Vélib writes it
    num_docks_available: _Count = None
    numDocksAvailable: _Count = None  # noqa: N815
    num_bikes_disabled: _Count = None
    num_vehicles_disabled: _Count = None
    num_ebikes_available: _Count = None
    num_scooters_available: _Count = None
    is_installed: _Flag = None
    is_renting: _Flag = None
    is_returning: _Flag = None
    vehicle_types_available: msgspec.Raw = _NOTHING
    num_bikes_available_types: msgspec.Raw = _NOTHING


class _Data(msgspec.Struct):
    stations: list[_Entry]


class _Body(msgspec.Struct):
    data: _Data


_decoder: Final = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True)
class Observed:
    """The stations of a snapshot.

    Attributes:
        stations: by station id, in the order of the list.
        rejected: entries that cannot be used as a station.
        duplicates: entries dropped because their id was repeated.
        conflicts: how many of them differed from the kept entry.
    """

    stations: dict[str, Observation]
    rejected: list[gbfs.RejectedStation] = field(default_factory=list)
    duplicates: int = 0
    conflicts: int = 0

    @property
    def reports(self) -> int:
        """A fingerprint of all stations' `last_reported`: it changes as long as a feed is alive."""
        reports = repr([(station_id, value) for station_id, (_, value) in self.stations.items()])
        return int.from_bytes(hashlib.blake2b(reports.encode(), digest_size=8).digest())


def observe(body: bytes, ingest_at: datetime) -> Observed:
    """Reads a station_status.

    Raises:
        PoisonMessage: the body is not a JSON object with a list of stations.
    """
    plain = observe_plain(body)
    return observe_any(body, ingest_at) if plain is None else plain


def observe_plain(body: bytes) -> Observed | None:
    """Reads a plain body; None for any other."""
    if gbfs.may_exceed_depth(body):
        return None
    try:
        body.decode()  # the decoder does not check skipped parts
        entries = _decoder.decode(body).data.stations
        stations = {}
        for parts in map(msgspec.structs.astuple, entries):
            station_id, listed, counted = parts[0], parts[-2], parts[-1]
            if type(station_id) is int:
                station_id = str(station_id)
            elif type(station_id) is not str or not (station_id := station_id.strip()):
                return None
            reading = read(
                parts[2:-2],
                b"" if listed is _NOTHING else bytes(listed),
                b"" if counted is _NOTHING else bytes(counted),
            )
            stations[station_id] = (reading, parts[1])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Observed(stations) if len(stations) == len(entries) else None


def observe_any(body: bytes, ingest_at: datetime) -> Observed:
    """Reads any body."""
    flat = gbfs.flatten_status(gbfs.decode(body), ingest_at=ingest_at)
    return Observed(
        {status.station_id: (Reading.of(status), status.reported_ts) for status in flat.stations},
        flat.rejected,
        flat.duplicates,
        flat.conflicts,
    )


def reported(reader: gbfs.StatusReader, observation: Observation) -> tuple[datetime | None, tuple[str, ...]]:
    """A station's `reported_ts` and all findings about it."""
    reading, value = observation
    if isinstance(value, datetime):
        return value, reading.quality
    findings = list(reading.quality)
    return reader.reported(value, findings), tuple(findings)
