"""The source: a table's rows through the Storage Read API, its streams spread over the workers."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PBegin, PCollection

from pmp_beam.io.storage import read_client
from pmp_beam.io.storage_read import StorageReader, Stream, TableRead


class ReadRows(beam.PTransform[PBegin, PCollection[pa.RecordBatch]]):
    """PBegin -> PCollection[pyarrow.RecordBatch].

    The session is opened when the pipeline runs. A stream is an element, so that the runner spreads them; a stream
    that fails in its middle goes on from there, and one whose worker is lost is read again from its beginning.

    Args:
        table: table id of `pmp_schema.tables`.
        project: where the read is billed, and the table's unless it was moved.
        columns: in this order; all where empty.
        row_restriction: condition as in a WHERE clause, without aggregates and subqueries.
        snapshot_at: the table as it was then; give it where two reads must see the same rows.
        max_streams: 0 leaves it to BigQuery.
        moved_to: `project.dataset.table`, where the table is not in its own place.
        emulator_host: the Storage API's emulator as `host:port`, or None for Google.

    Raises:
        ValueError: the table has no such column.
    """

    def __init__(
        self,
        table: str,
        *,
        project: str,
        columns: Sequence[str] = (),
        row_restriction: str = "",
        snapshot_at: datetime | None = None,
        max_streams: int = 0,
        moved_to: str | None = None,
        emulator_host: str | None = None,
    ) -> None:
        super().__init__()
        self._read = TableRead(
            project=project,
            table=table,
            columns=tuple(columns),
            row_restriction=row_restriction,
            snapshot_at=snapshot_at,
            max_streams=max_streams,
            moved_to=moved_to,
        )
        self._emulator_host = emulator_host

    def expand(self, begin: PBegin) -> PCollection[pa.RecordBatch]:
        batches: PCollection[pa.RecordBatch] = (
            begin
            | "Table" >> beam.Create([self._read], reshuffle=False)
            | "Open" >> beam.ParDo(_Open(self._emulator_host)).with_output_types(Stream)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(self._emulator_host)).with_output_types(pa.RecordBatch)
        )
        return batches


class _Open(beam.DoFn):
    """TableRead -> its streams."""

    def __init__(self, emulator_host: str | None) -> None:
        self._emulator_host = emulator_host

    def setup(self) -> None:
        self._reader = StorageReader(read_client(self._emulator_host))

    def process(self, read: TableRead) -> Iterator[Stream]:
        yield from self._reader.streams(read)


class _Read(beam.DoFn):
    """Stream -> its batches."""

    def __init__(self, emulator_host: str | None) -> None:
        self._emulator_host = emulator_host
        self._rows_read = Metrics.counter("pmp_beam.io", "rows_read")

    def setup(self) -> None:
        self._reader = StorageReader(read_client(self._emulator_host))

    def process(self, stream: Stream) -> Iterator[pa.RecordBatch]:
        for batch in self._reader.batches(stream):
            self._rows_read.inc(batch.num_rows)
            yield batch
