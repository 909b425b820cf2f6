"""What is known of some stations, as columns: their events up to as_of, and the daily counts of the closed days."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pmp_beam.station_features.deliveries import TIME, is_first_delivery
from pmp_beam.station_features.shards import Integers, codes
from pmp_schema.features import Kind, Scope, Slot
from pmp_schema.timestamps import EPOCH, duration_micros, to_micros

Numbers = npt.NDArray[np.float64]
KINDS: Final = ("pickup", "dropoff")
DROPOFF: Final = KINDS.index("dropoff")
_NAME: Final = pa.dictionary(pa.int32(), pa.string())
COUNTS_SCHEMA: Final = pa.schema(
    [
        ("city_id", pa.string()),
        ("station_id", pa.string()),
        ("kind", pa.string()),
        ("event_date", pa.date32()),
        ("first_ingest_date", pa.date32()),
        ("events", pa.int64()),
    ]
)


class Facts:
    """Events and closed days of all stations of a shard. Arrays named after a thing have one element for each event.

    Attributes:
        stations: columns city_id and station_id, one row per station.
        station: the event's row in `stations`.
        kind: index in `KINDS`, or one more for any other.
        delta: bikes, as FLOAT64 so that no sum overflows.
        age_us: from the event to as_of, 0 or more.
    """

    def __init__(self, events: pa.Table, counts: pa.Table, scope: Scope) -> None:
        """Takes events that are unique and not after as_of, and the closed days of the scope.

        Two closings at once may have left a row of the closed days twice, until one of them has mended it.
        """
        counts = _unique(counts)
        self.stations, station = _stations(events, counts)
        self.station, self._counted_station = station[: events.num_rows], station[events.num_rows :]
        self.kind, self._counted_kind = _kinds(events["kind"]), _kinds(counts["kind"])
        self._counted = counts["events_max"].fill_null(0).cast(pa.float64()).to_numpy()
        self.delta: Numbers = events["delta"].cast(pa.float64(), safe=False).to_numpy()
        self.age_us = _age_us(events, scope.as_of)
        self._is_open = ~_is_in_daily_counts(events, scope)
        self._within: dict[Sequence[Slot], Integers] = {}

    def rows(self, kind: Kind, slots: Sequence[Slot]) -> Integers:
        """Positions of the events of a kind in any of the slots."""
        if slots not in self._within:
            inside = [
                (self.age_us >= duration_micros(slot.newer)) & (self.age_us < duration_micros(slot.older))
                for slot in slots
            ]
            self._within[slots] = np.flatnonzero(np.logical_or.reduce(inside))
        rows = self._within[slots]
        return rows if kind == "any" else rows[self.kind[rows] == KINDS.index(kind)]

    def count(self, rows: Integers) -> Numbers:
        """Events of each station."""
        return np.bincount(self.station[rows], minlength=self.stations.num_rows).astype(np.float64)

    def total(self, rows: Integers, values: Numbers) -> Numbers:
        """Sum of each station's values."""
        # Of no values numpy makes integers, whatever their type.
        return np.bincount(self.station[rows], values, self.stations.num_rows).astype(np.float64, copy=False)

    def largest(self, rows: Integers, values: Numbers) -> Numbers:
        """Maximum of each station's values; NaN of none."""
        result = np.full(self.stations.num_rows, -np.inf)
        np.maximum.at(result, self.station[rows], values)
        result[np.isneginf(result)] = np.nan
        return result

    def all_time(self, kind: Kind) -> Numbers:
        """Events of a kind of each station since the first one."""
        is_open, counted = self._is_open, np.ones(len(self._counted), np.bool_)
        if kind != "any":
            is_open = is_open & (self.kind == KINDS.index(kind))
            counted = self._counted_kind == KINDS.index(kind)
        closed = np.bincount(
            self._counted_station[counted], self._counted[counted], minlength=self.stations.num_rows
        )
        return self.count(np.flatnonzero(is_open)) + closed


def used_events(deliveries: pa.Table, scope: Scope) -> pa.Table:
    """Of some stations' deliveries, all of them, the events that a run counts; each once, none after as_of."""
    known = deliveries.filter(pc.field("ingest_ts") <= pa.scalar(scope.known_at, TIME))
    first = known.filter(pa.array(is_first_delivery(known)))
    return first.filter(pc.field("ts_iso") <= pa.scalar(scope.as_of, TIME))


def _unique(counts: pa.Table) -> pa.Table:
    key = [name for name in COUNTS_SCHEMA.names if name != "events"]
    return counts.group_by(key, use_threads=False).aggregate([("events", "max")])


def _stations(*tables: pa.Table) -> tuple[pa.Table, Integers]:
    """The stations of the tables, and that of each of their rows, one table after the other."""
    keys = pa.concat_tables([_names(table) for table in tables])
    city, cities = codes(keys["city_id"])
    station, stations = codes(keys["station_id"])
    pairs, row = np.unique(city.astype(np.int64) * len(stations) + station, return_inverse=True)
    columns = {
        "city_id": cities.take(pa.array(pairs // max(1, len(stations)))),
        "station_id": stations.take(pa.array(pairs % max(1, len(stations)))),
    }
    return pa.table(columns), row


def _names(table: pa.Table) -> pa.Table:
    return pa.table({name: table[name].cast(_NAME) for name in ("city_id", "station_id")})


def _kinds(column: pa.ChunkedArray) -> npt.NDArray[np.int8]:
    number, texts = codes(column)
    known = pc.index_in(texts, value_set=pa.array(KINDS)).fill_null(len(KINDS))
    kinds: npt.NDArray[np.int8] = known.to_numpy(zero_copy_only=False).astype(np.int8)
    return kinds[number]


def _age_us(events: pa.Table, as_of: datetime) -> npt.NDArray[np.int64]:
    happened: npt.NDArray[np.int64] = events["ts_iso"].cast(pa.int64()).to_numpy()
    return _us(as_of) - happened


def _is_in_daily_counts(events: pa.Table, scope: Scope) -> npt.NDArray[np.bool_]:
    before_today = events["event_date"].cast(pa.int32()).to_numpy() < _days(
        scope.as_of.astimezone(UTC).date()
    )
    midnight = datetime.combine(scope.open_from, time(), UTC)
    is_in: npt.NDArray[np.bool_] = before_today & (
        events["ingest_ts"].cast(pa.int64()).to_numpy() < _us(midnight)
    )
    return is_in


def _days(day: date) -> int:
    return (day - EPOCH.date()).days


def _us(at: datetime) -> int:
    return to_micros(at)
