"""Events from a JSON file and rows into one, for runs without BigQuery."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import apache_beam as beam
import msgspec
import pyarrow as pa
import pyarrow.csv
from apache_beam.pvalue import PCollection
from apache_beam.transforms.combiners import ToListCombineFn

from pmp_beam.station_features.deliveries import SCHEMA
from pmp_beam.station_features.shards import unpack
from pmp_schema.features import Scope
from pmp_schema.timestamps import parse_timestamp

UNKNOWN_CITY: Final = "unknown"


class EventFileError(ValueError):
    """The file does not hold events; the message says what is wrong."""


class FileEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor event as in the messages, or a row of raw_events; other fields are left aside.

    Attributes:
        ingest_ts: when it became known; as soon as it happened where it is not given.
    """

    event_id: str
    station_id: str
    ts_iso: str
    kind: Literal["pickup", "dropoff"]
    delta: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    city_id: str = UNKNOWN_CITY
    ingest_ts: str | None = None
    message_id: str | None = None


def example() -> bytes:
    """Some events of three stations in November and December 2025."""
    return files(__package__).joinpath("example.json").read_bytes()


def read_events(data: bytes) -> pa.RecordBatch:
    """Deliveries from a JSON array of events, or from one event a line.

    Raises:
        EventFileError: not such a file.
    """
    try:
        if data.lstrip().startswith(b"["):
            events = msgspec.json.decode(data, type=list[FileEvent])
        else:
            events = msgspec.json.Decoder(FileEvent).decode_lines(data)
        rows = [_row(event) for event in events]
    except ValueError as error:  # msgspec's errors are ValueErrors too
        raise EventFileError(str(error)) from error
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def scope_of_file(as_of: datetime, known_at: datetime) -> Scope:
    """Everything in the file is read; there are no daily counts."""
    return Scope(as_of=as_of, known_at=known_at, open_from=date.min, late_dates=(), first_date=date.min)


@dataclass(frozen=True, slots=True)
class ToFile:
    """The sink: one file of rows, CSV where its name ends so, else a JSON array."""

    path: str

    def __call__(self, blocks: PCollection[bytes]) -> None:
        _ = blocks | "Together" >> beam.CombineGlobally(ToListCombineFn()) | "Write" >> beam.Map(self.write)

    def write(self, blocks: Iterable[bytes]) -> None:
        """Writes the rows, sorted; an empty file of its kind where there are none."""
        rows = [row for block in blocks for row in unpack([block]).to_pylist()]
        rows.sort(key=lambda row: tuple(row[name] for name in _ORDER))
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            pa.csv.write_csv(pa.Table.from_pylist(rows, schema=_ROWS), path)
        else:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")


_ORDER: Final = ("city_id", "station_id", "feature_name", "window_len")
_ROWS: Final = pa.schema(
    [
        *((name, pa.string()) for name in _ORDER),
        ("value", pa.float64()),
        ("as_of", pa.timestamp("us", "UTC")),
        ("event_date", pa.date32()),
    ]
)


def _row(event: FileEvent) -> dict[str, Any]:
    ts = parse_timestamp(event.ts_iso).astimezone(UTC)
    ingest_ts = ts if event.ingest_ts is None else parse_timestamp(event.ingest_ts).astimezone(UTC)
    row = {name: getattr(event, name) for name in event.__struct_fields__}
    return row | {"ts_iso": ts, "event_date": ts.date(), "ingest_ts": ingest_ts}
