"""The Beam pipeline around the columnar computation: what is read, where it meets, what is written."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pmp_beam.io import ReadRows, WriteRows
from pmp_beam.station_features.debug import DebugOutput
from pmp_beam.station_features.deliveries import SCHEMA
from pmp_beam.station_features.facts import COUNTS_SCHEMA, Facts, used_events
from pmp_beam.station_features.partials import partials
from pmp_beam.station_features.rows import feature_rows
from pmp_beam.station_features.shards import cut, pack, unpack
from pmp_schema.features import Feature, Scope

Piece = tuple[int, bytes]

_CUT_ROWS: Final = 400_000
"""Rows that are cut at a time: pieces stay large though there are many shards."""

_BLOCK_ROWS: Final = 20_000
"""Rows of an element of the result; a writer makes Python objects of that many at a time."""


class StationFeatures(beam.PTransform[Any, PCollection[bytes]]):
    """{"deliveries", "counts"}: PCollection[pyarrow.RecordBatch] -> PCollection[packed rows of station_features].

    Args:
        shards: parts that are computed one by one; the deliveries of one must fit a worker's memory.
        debug: where what was used and what was made is written as well.
    """

    def __init__(
        self, features: Sequence[Feature], scope: Scope, *, shards: int, debug: DebugOutput | None = None
    ) -> None:
        super().__init__()
        self._features = tuple(features)
        self._scope = scope
        self._shards = shards
        self._debug = debug

    def expand(self, inputs: Any) -> PCollection[bytes]:
        pieces = {
            "deliveries": inputs["deliveries"] | "CutDeliveries" >> _cut(SCHEMA, "station_id", self._shards),
            "counts": inputs["counts"] | "CutCounts" >> _cut(COUNTS_SCHEMA, "station_id", self._shards),
        }
        stations = beam.ParDo(_Stations(self._features, self._scope, self._shards, self._debug))
        rows = beam.ParDo(_Rows(self._features, self._scope, self._debug))
        blocks: PCollection[bytes] = (
            pieces
            | "ByStation" >> beam.CoGroupByKey()
            | "Stations" >> stations.with_output_types(Piece)
            | "ByCity" >> beam.GroupByKey()
            | "Rows" >> rows.with_output_types(bytes)
        )
        return blocks


def build(
    pipeline: beam.Pipeline,
    features: Sequence[Feature],
    scope: Scope,
    *,
    shards: int,
    deliveries: beam.PTransform[Any, PCollection[pa.RecordBatch]],
    counts: beam.PTransform[Any, PCollection[pa.RecordBatch]],
    sink: Callable[[PCollection[bytes]], None],
    debug: DebugOutput | None = None,
) -> None:
    """Builds the pipeline.

    Args:
        deliveries: rows of raw_events, at least those that the scope needs.
        counts: the rows of station_daily_counts that the scope needs, and no other.
    """
    read = {"deliveries": pipeline | "Deliveries" >> deliveries, "counts": pipeline | "Counts" >> counts}
    sink(read | "StationFeatures" >> StationFeatures(features, scope, shards=shards, debug=debug))


def read_deliveries(
    scope: Scope, *, project: str, moved_to: str | None, storage_emulator: str | None
) -> ReadRows:
    """The partitions of raw_events that a run needs, and of them what it knew."""
    dates = f"event_date BETWEEN '{scope.first_date}' AND '{scope.as_of.date()}'"
    if scope.late_dates:
        late = ", ".join(f"'{day}'" for day in scope.late_dates)
        dates = f"({dates} OR event_date IN ({late}))"
    return ReadRows(
        "raw_events",
        project=project,
        columns=SCHEMA.names,
        row_restriction=f"{dates} AND ingest_ts <= '{scope.known_at.isoformat()}'",
        moved_to=moved_to,
        emulator_host=storage_emulator,
    )


def read_counts(scope: Scope, *, project: str, storage_emulator: str | None) -> ReadRows:
    """The closed days before that of as_of."""
    return ReadRows(
        "station_daily_counts",
        project=project,
        columns=COUNTS_SCHEMA.names,
        row_restriction=(f"event_date < '{scope.as_of.date()}' AND first_ingest_date < '{scope.open_from}'"),
        emulator_host=storage_emulator,
    )


@dataclass(frozen=True, slots=True)
class ToStaging:
    """The sink: rows into a staging table; once all of them are there, `finish` is told how many.

    Attributes:
        staging: `project.dataset.table`, which exists and is this run's alone.
        finish: may be called more than once.
    """

    project: str
    staging: str
    storage_emulator: str | None
    finish: Callable[[int], object]

    def __call__(self, blocks: PCollection[bytes]) -> None:
        written = blocks | "Write" >> WriteRows(
            "station_features",
            project=self.project,
            rows_of=rows_of,
            moved_to=self.staging,
            emulator_host=self.storage_emulator,
        )
        _ = written.rejected | "Refuse" >> beam.Map(_refuse)
        _ = (
            written.settled
            | "Count" >> beam.Map(lambda block: unpack([block]).num_rows).with_output_types(int)
            # The barrier: one element, when every block is settled.
            | "Barrier" >> beam.CombineGlobally(sum)
            | "Finish" >> beam.Map(self.finish)
        )


def rows_of(block: bytes) -> Iterable[dict[str, Any]]:
    """The rows of a block."""
    rows: list[dict[str, Any]] = unpack([block]).to_pylist()
    return rows


class RowsRefusedError(ValueError):
    """BigQuery will never take a row."""


def _refuse(rejected: Any) -> None:
    raise RowsRefusedError(f"station_features: {rejected.reason}: {rejected.detail}")


def _cut(schema: pa.Schema, column: str, shards: int) -> Any:
    return beam.ParDo(_Cut(schema, column, shards)).with_output_types(Piece)


class _Cut(beam.DoFn):
    """RecordBatch -> (shard, piece), of many batches at a time."""

    def __init__(self, schema: pa.Schema, column: str, shards: int) -> None:
        self._schema = schema
        self._column = column
        self._shards = shards

    def start_bundle(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0

    def process(self, batch: pa.RecordBatch) -> Iterator[Piece]:
        self._batches.append(batch)
        self._rows += batch.num_rows
        if self._rows >= _CUT_ROWS:
            yield from self._pieces()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        for piece in self._pieces():
            yield WindowedValue(piece, window.max_timestamp(), (window,))

    def _pieces(self) -> Iterator[Piece]:
        if not self._batches:
            return
        table = pa.Table.from_batches(self._batches).select(self._schema.names).cast(self._schema)
        self.start_bundle()
        for shard, rows in cut(table, self._column, self._shards):
            yield shard, pack(rows)


class _Stations(beam.DoFn):
    """(shard of stations, its pieces) -> (shard of cities, one row per station)."""

    def __init__(
        self, features: Sequence[Feature], scope: Scope, shards: int, debug: DebugOutput | None
    ) -> None:
        self._features = features
        self._scope = scope
        self._shards = shards
        self._debug = debug

    def process(self, element: tuple[int, Mapping[str, Iterable[bytes]]]) -> Iterator[Piece]:
        shard, pieces = element
        events = used_events(unpack(pieces["deliveries"], SCHEMA), self._scope)
        if self._debug:
            self._debug.write("events", shard, events)
        facts = Facts(events, unpack(pieces["counts"], COUNTS_SCHEMA), self._scope)
        for city_shard, rows in cut(partials(facts, self._features), "city_id", self._shards):
            yield city_shard, pack(rows)


class _Rows(beam.DoFn):
    """(shard of cities, their stations) -> blocks of rows."""

    def __init__(self, features: Sequence[Feature], scope: Scope, debug: DebugOutput | None) -> None:
        self._features = features
        self._scope = scope
        self._debug = debug

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[bytes]:
        shard, pieces = element
        rows = feature_rows(unpack(pieces), self._features, self._scope.as_of)
        if self._debug:
            self._debug.write("rows", shard, rows)
        for first in range(0, rows.num_rows, _BLOCK_ROWS):
            yield pack(rows.slice(first, _BLOCK_ROWS))
