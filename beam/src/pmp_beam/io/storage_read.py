"""Rows of a table as Arrow record batches, by BigQuery's Storage Read API."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final

import pyarrow as pa
from google.api_core import exceptions
from google.cloud.bigquery_storage_v1.types import CreateReadSessionRequest, DataFormat, ReadSession

from pmp_beam.io.storage import read_client, table_path
from pmp_runtime.retry import TRANSIENT, retrying
from pmp_schema import tables
from pmp_schema.errors import RetryableError

logger = logging.getLogger(__name__)

_SESSION_TIMEOUT_S: Final = 30.0
# Bounds a call, not a stream: what a slow consumer leaves is read by the next call.
_CALL_TIMEOUT_S: Final = 300.0
_LONGEST_PAUSE_S: Final = 10.0


class SourceUnavailable(RetryableError):
    """BigQuery did not give the rows in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRead:
    """What to read.

    Attributes:
        project: where the read is billed, and the table's unless it was moved.
        table: table id of `pmp_schema.tables`.
        columns: in this order; all where empty.
        row_restriction: condition as in a WHERE clause, without aggregates and subqueries.
        snapshot_at: the table as it was then, at most seven days ago; the emulator reads the present.
        max_streams: 0 leaves it to BigQuery; small tables have one stream anyway.
        moved_to: `project.dataset.table`, where the table is not in its own place.
    """

    project: str
    table: str
    columns: Sequence[str] = ()
    row_restriction: str = ""
    snapshot_at: datetime | None = None
    max_streams: int = 0
    moved_to: str | None = None

    def __post_init__(self) -> None:
        unknown = set(self.columns) - {column.name for column in tables.table(self.table).columns}
        if unknown:
            raise ValueError(f"{self.table} has no column {', '.join(sorted(unknown))}")

    def request(self) -> CreateReadSessionRequest:
        modifiers: Mapping[str, Any] = {"snapshot_time": self.snapshot_at} if self.snapshot_at else {}
        session = ReadSession(
            table=table_path(self.table, self.project, self.moved_to),
            data_format=DataFormat.ARROW,
            table_modifiers=modifiers,
            read_options={"selected_fields": self.columns, "row_restriction": self.row_restriction},
        )
        return CreateReadSessionRequest(
            parent=f"projects/{self.project}", read_session=session, max_stream_count=self.max_streams
        )


@dataclass(frozen=True, slots=True)
class Stream:
    """A part of a table's rows, readable for some hours.

    Attributes:
        columns: in the order in which they are given.
        schema: of its batches, serialised.
    """

    name: str
    columns: tuple[str, ...]
    schema: bytes


class StorageReader:
    """Reads tables.

    Args:
        client: a generated `BigQueryReadClient`.
        retry_s: seconds without progress after which a read fails.
    """

    def __init__(self, client: Any, *, retry_s: float = 60.0) -> None:
        self._client = client
        self._retry_s = retry_s

    def streams(self, read: TableRead) -> list[Stream]:
        """Opens a session: the rows that the table has now, or had at the snapshot, in streams.

        Raises:
            SourceUnavailable: BigQuery does not answer.
        """
        again = retrying(self._retry_s, longest_pause_s=_LONGEST_PAUSE_S)
        try:
            session = self._client.create_read_session(
                request=read.request(), retry=again, timeout=_SESSION_TIMEOUT_S
            )
        except exceptions.RetryError as error:
            raise SourceUnavailable(f"{read.table}: {type(error.cause).__name__}") from error
        schema = session.arrow_schema.serialized_schema
        return [Stream(stream.name, tuple(read.columns), schema) for stream in session.streams]

    def batches(self, stream: Stream) -> Iterator[pa.RecordBatch]:
        """A stream's rows; after a transient error it goes on behind the last batch that it has given.

        Raises:
            SourceUnavailable: no rows came for `retry_s` seconds.
        """
        schema = pa.ipc.read_schema(pa.py_buffer(stream.schema))
        offset = 0

        def log(error: Exception) -> None:
            logger.warning("stream.resumed", extra={"cause": type(error).__name__, "offset": offset})

        begin = retrying(self._retry_s, longest_pause_s=_LONGEST_PAUSE_S, on_error=log)(self._begin)
        while True:
            try:
                for response in begin(stream, offset):
                    batch = _batch(response, schema, stream.columns)
                    offset += batch.num_rows
                    yield batch
            except exceptions.RetryError as error:
                raise SourceUnavailable(f"no rows: {type(error.cause).__name__}") from error
            except TRANSIENT as error:
                log(error)  # rows came before it, so reading goes on at once
            else:
                return

    def _begin(self, stream: Stream, offset: int) -> Iterable[Any]:
        """A call that has given its first response, or has none."""
        responses = self._call(stream, offset)
        first = next(responses, None)
        return () if first is None else chain([first], responses)

    def _call(self, stream: Stream, offset: int) -> Iterator[Any]:
        answer: Iterator[Any] = self._client.read_rows(
            read_stream=stream.name, offset=offset, retry=None, timeout=_CALL_TIMEOUT_S
        )
        return answer


def _batch(response: Any, schema: pa.Schema, columns: Sequence[str]) -> pa.RecordBatch:
    data = response.arrow_record_batch.serialized_record_batch
    batch = pa.ipc.read_record_batch(pa.py_buffer(data), schema)
    return batch.select(list(columns)) if columns else batch


def read_rows(read: TableRead, *, emulator_host: str | None = None) -> Iterator[pa.RecordBatch]:
    """All rows of a read, one stream after the other, for use where a DoFn needs a few.

    Raises:
        SourceUnavailable: BigQuery does not answer.
    """
    reader = StorageReader(read_client(emulator_host))
    for stream in reader.streams(read):
        yield from reader.batches(stream)
