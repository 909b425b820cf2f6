"""Thirty days of events of 2,000 stations as Parquet, a file a day as raw_events has partitions.

Ids as the simulator and Pub/Sub make them, two rush hours a day, busy and quiet stations, one delivery in a hundred
repeated, one event in fifty hours or days late.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pmp_beam.station_features.deliveries import SCHEMA
from pmp_schema.features import Scope

DAYS = 30
STATIONS = 2000
CITIES = 4
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
AS_OF = FIRST + timedelta(days=DAYS)
KNOWN_AT = AS_OF + timedelta(minutes=1)
REPEATED, LATE = 0.01, 0.02
_HOUR_US = 3_600_000_000
_ROW_GROUP = 100_000


def scope() -> Scope:
    """Everything is read from the events, nothing from daily counts."""
    first_date = (AS_OF - timedelta(weeks=4, hours=1)).date()
    earlier = (FIRST + timedelta(days=n) for n in range(DAYS))
    late = tuple(day.date() for day in earlier if day.date() < first_date)
    return Scope(as_of=AS_OF, known_at=KNOWN_AT, open_from=date.min, late_dates=late, first_date=first_date)


def files(root: Path, events: int) -> list[Path]:
    """The files of so many events, made once."""
    folder = root / f"features-{events}"
    done = folder / "done"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(events)
        for day in range(DAYS):
            table = _day(rng, day, events // DAYS, first_id=day * (events // DAYS))
            pq.write_table(table, folder / f"day-{day:02d}.parquet", row_group_size=_ROW_GROUP)
        done.touch()
    return sorted(folder.glob("*.parquet"))


def _day(rng: np.random.Generator, day: int, events: int, first_id: int) -> pa.Table:
    hour = np.concatenate([rng.normal(8, 1.5, events // 3), rng.normal(18, 2, events // 3)])
    hour = np.concatenate([hour, rng.uniform(0, 24, events - len(hour))]) % 24
    ts = _us(FIRST + timedelta(days=day)) + (hour * _HOUR_US).astype(np.int64)
    ingest = ts + (rng.exponential(2e6, events) + 1e5).astype(np.int64)
    late = rng.random(events) < LATE
    ingest[late] += (rng.exponential(12, int(late.sum())) * _HOUR_US).astype(np.int64)
    station = (STATIONS * rng.power(2, events)).astype(np.int64)
    number = np.arange(first_id, first_id + events)
    again = np.flatnonzero(rng.random(events) < REPEATED)
    rows = np.concatenate([np.arange(events), again])
    ingest = np.concatenate([ingest, ingest[again] + rng.integers(0, 600_000_000, len(again))])
    rows, ingest = rows[order := np.argsort(ingest)], ingest[order]
    kinds, deltas = rng.integers(0, 2, events), rng.choice([1, 1, 1, 1, 2, 3, 8], events)
    message = pa.array(rng.integers(10**15, 10**16, len(rows))).cast(pa.string())
    columns = {
        "event_id": pc.binary_join_element_wise("e-3f9c21ab-", pa.array(number[rows]).cast(pa.string()), ""),
        "city_id": _named("city", station[rows] % CITIES),
        "station_id": _named("station", station[rows]),
        "ts_iso": pa.array(ts[rows]),
        "kind": pa.array(["pickup", "dropoff"]).take(pa.array(kinds[rows])),
        "delta": pa.array(deltas[rows]),
        "event_date": pa.array((ts[rows] // (24 * _HOUR_US)).astype(np.int32)),
        "ingest_ts": pa.array(ingest),
        "message_id": message,
    }
    return pa.table(columns).cast(SCHEMA)


def _named(what: str, number: np.ndarray) -> pa.Array:
    names = pa.array([f"{what}-{n:05d}" for n in range(int(number.max()) + 1)])
    return names.take(pa.array(number))


def _us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
