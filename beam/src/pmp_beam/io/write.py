"""The sink: rows into a table through the Storage Write API, durable before the bundle ends."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import DoOutputsTuple, PCollection, TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue
from google.api_core import retry
from google.api_core.exceptions import RetryError

from pmp_beam.io.storage import appender, table_path
from pmp_runtime.bigquery.append import row_values as append
from pmp_runtime.bigquery.append.appender import Appender
from pmp_runtime.retry import retrying
from pmp_schema import tables
from pmp_schema.errors import Reason, SinkUnavailable
from pmp_schema.tables import Row

SETTLED: Final = "settled"
REJECTED: Final = "rejected"

RowsOf = Callable[[Any], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that can never be appended as it is.

    Attributes:
        element: what the row was made from.
        detail: one line for a person; names columns, never values.
    """

    element: Any
    row: Row
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteLimits:
    """How rows are appended.

    Attributes:
        batch_rows: an append begins when so many rows wait, or the bundle ends.
        batch_bytes: the same for their size, by rough estimate.
        append_timeout_s: seconds for one attempt.
        retry_s: seconds after which the bundle fails instead of trying again; the runner then repeats it.
    """

    batch_rows: int = 10_000
    batch_bytes: int = 8_000_000
    append_timeout_s: float = 20.0
    retry_s: float = 60.0


def itself(element: Any) -> Iterable[Row]:
    """The rows of an element that is a row."""
    return (element,)


class WriteRows(beam.PTransform[Any, Any]):
    """PCollection[T] -> `settled`: PCollection[T] and `rejected`: PCollection[RejectedRow].

    An element is settled once each of its rows is durable or rejected, so that what must not happen before can
    follow. Rows may be written twice: after a lost answer and when a bundle is repeated.

    Args:
        table: table id of `pmp_schema.tables`.
        project: Google Cloud project id.
        rows_of: an element's rows, none to many; by default the element is a row.
        moved_to: `project.dataset.table`, where the table is not in its own place.
        emulator_host: the Storage API's emulator as `host:port`, or None for Google.
    """

    def __init__(
        self,
        table: str,
        *,
        project: str,
        rows_of: RowsOf = itself,
        moved_to: str | None = None,
        emulator_host: str | None = None,
        limits: WriteLimits | None = None,
    ) -> None:
        super().__init__()
        self._table = tables.table(table).name
        self._path = table_path(table, project, moved_to)
        self._rows_of = rows_of
        self._emulator_host = emulator_host
        self._limits = limits or WriteLimits()

    def expand(self, elements: PCollection[Any]) -> Any:
        step = _Append(self._table, self._path, self._rows_of, self._emulator_host, self._limits)
        outputs: DoOutputsTuple = elements | "Append" >> beam.ParDo(step).with_outputs(REJECTED, main=SETTLED)
        outputs[SETTLED].element_type = elements.element_type
        outputs[REJECTED].element_type = RejectedRow
        return outputs


@dataclass(slots=True)
class _Batch:
    """What waits for the next append: elements with the number of their rows, and all rows in the same order."""

    elements: list[tuple[WindowedValue, int]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, element: WindowedValue, rows: Sequence[Row]) -> None:
        self.elements.append((element, len(rows)))
        self.rows += rows
        self.size_bytes += sum(map(_size_bytes, rows))

    def outputs(self, rejected: Sequence[append.RejectedRow]) -> Iterator[Any]:
        """All elements, and the rejected rows with the elements that they were made from."""
        by_row = {id(one.row): one for one in rejected}
        rows = iter(self.rows)
        for element, count in self.elements:
            for row in islice(rows, count):
                if one := by_row.get(id(row)):
                    value = RejectedRow(element.value, row, one.reason, one.detail)
                    yield TaggedOutput(REJECTED, element.with_value(value))
            yield element


def _size_bytes(row: Row) -> int:
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in row.values())


class _Append(beam.DoFn):
    def __init__(
        self, table: str, path: str, rows_of: RowsOf, emulator_host: str | None, limits: WriteLimits
    ) -> None:
        self._table = table
        self._path = path
        self._rows_of = rows_of
        self._emulator_host = emulator_host
        self._limits = limits
        self._rows_written = Metrics.counter("pmp_beam.io", "rows_written")
        self._rows_rejected = Metrics.counter("pmp_beam.io", "rows_rejected")
        self._appends = Metrics.counter("pmp_beam.io", "appends")
        self._retries = Metrics.counter("pmp_beam.io", "append_retries")

    def setup(self) -> None:
        self._appender: Appender = appender(self._table, self._path, self._emulator_host)
        self._retry = retrying(
            self._limits.retry_s,
            retry.if_exception_type(SinkUnavailable),
            longest_pause_s=10.0,
            on_error=lambda _: self._retries.inc(),
        )

    def start_bundle(self) -> None:
        self._batch = _Batch()

    def process(
        self,
        element: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        self._batch.add(WindowedValue(element, timestamp, (window,)), list(self._rows_of(element)))
        if (
            len(self._batch.rows) >= self._limits.batch_rows
            or self._batch.size_bytes >= self._limits.batch_bytes
        ):
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._flush()

    def _flush(self) -> Iterator[Any]:
        batch, self._batch = self._batch, _Batch()
        rejected = self._write(batch.rows) if batch.rows else []
        yield from batch.outputs(rejected)

    def _write(self, rows: Sequence[Row]) -> list[append.RejectedRow]:
        """Append with retries.

        Raises:
            SinkUnavailable: not all rows were settled in time.
        """
        append_rows = self._retry(self._appender.append)
        try:
            rejected: list[append.RejectedRow] = append_rows(rows, timeout_s=self._limits.append_timeout_s)
        except RetryError as error:
            raise SinkUnavailable(f"{self._table}: {error.cause}") from error
        self._appends.inc()
        self._rows_rejected.inc(len(rejected))
        self._rows_written.inc(len(rows) - len(rejected))
        return rejected
