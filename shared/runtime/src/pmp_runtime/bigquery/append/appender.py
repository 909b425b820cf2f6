"""Appends rows to a table; each becomes durable or is rejected."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from pmp_runtime.bigquery.append.connection import Connect, ConnectionLostError
from pmp_runtime.bigquery.append.connections import Link, Links
from pmp_runtime.bigquery.append.drift import Layout
from pmp_runtime.bigquery.append.encoders import RowEncoder
from pmp_runtime.bigquery.append.extra import EXTRA
from pmp_runtime.bigquery.append.live_schema import LiveSchema, ReadColumns, columns_of
from pmp_runtime.bigquery.append.results import ACTIONS, Action, AppendResult
from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_schema.errors import Reason, SinkUnavailable
from pmp_schema.tables import Row

# BigQuery refuses requests of 10 MB (AppendRowsRequest reference); several rows keep a distance from it.
REQUEST_LIMIT_BYTES: Final = 10_000_000
BATCH_LIMIT_BYTES: Final = 9_000_000
# Asking for a table's columns may take that much, and half of what an append has left.
_READ_TIMEOUT_S: Final = 3.0
_DETAIL_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows that go into one request; `resent` if a lost connection has cost them one already."""

    rows: tuple[Row, ...]
    resent: bool = False

    def halves(self) -> "list[_Chunk]":
        middle = len(self.rows) // 2
        return [replace(self, rows=part) for part in (self.rows[:middle], self.rows[middle:])]


@dataclass(frozen=True, slots=True)
class _Flight:
    chunk: _Chunk
    link: Link
    answer: Future[AppendResult]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Appender:
    """Appends rows to one table's default stream; many threads may append at the same time.

    A default stream is at-least-once: rows whose answer was lost are sent again and may be there twice.
    Where `read_columns` is given, a table that is changed is followed without a restart: a column that it
    gets is filled from `extra`, and a row that it can no longer store whole is rejected (`schema_drift`).

    Args:
        table_path: `projects/P/datasets/D/tables/T`.
        encoder: of the same table, as its schema file has it.
        connect: opens a connection; called when there is none alive, or none for the table's columns.
        read_columns: asks for the table's columns; called at most once a minute, when there are appends.
        stamp: TIMESTAMP column that is set to the current time just before every attempt.
        now: aware time for `stamp`.
        monotonic: seconds, for the time-outs.
    """

    def __init__(
        self,
        table_path: str,
        encoder: RowEncoder,
        connect: Connect,
        *,
        read_columns: ReadColumns | None = None,
        stamp: str | None = None,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        write_stream = f"{table_path}/streams/_default"
        self._stamp = stamp
        self._now = now
        self._monotonic = monotonic
        self._schema = LiveSchema(
            encoder.table,
            (lambda timeout_s: read_columns(write_stream, timeout_s)) if read_columns else lambda _: (),
            monotonic=monotonic,
        )
        self._links = Links(write_stream, encoder, connect, lambda: self._schema.layout)
        self._accepted: Layout | None = None

    @property
    def added(self) -> tuple[str, ...]:
        """Columns of the table that its schema file lacks and that are filled now."""
        return tuple(column.name for column in self._schema.layout.added)

    def append(self, rows: Sequence[Row], *, timeout_s: float) -> list[RejectedRow]:
        """Append rows; returns when each is durable or rejected.

        Args:
            rows: of the encoder's table.
            timeout_s: for everything that it takes, reopening and isolation of bad rows included.

        Returns:
            The rejected rows in their order; all others are durable.

        Raises:
            SinkUnavailable: not everything could be settled in time; some rows may be durable already.
        """
        deadline = self._monotonic() + timeout_s
        rejected: list[RejectedRow] = []
        todo = [_Chunk(tuple(rows))]
        if self._schema.due and self._worth_asking(rows):
            self._refresh(deadline)
        # Every round sends all its pieces before it waits: a bad row among n costs log2(n) round trips.
        while todo:
            if self._monotonic() >= deadline:
                raise SinkUnavailable("no time left for the rest of the rows")
            flights = [flight for chunk in todo for flight in self._launch(chunk, rejected)]
            todo = [chunk for flight in flights for chunk in self._land(flight, deadline, rejected)]
        by_row = {id(one.row): one for one in rejected}
        return [by_row[id(row)] for row in rows if id(row) in by_row] if by_row else []

    def _launch(self, chunk: _Chunk, rejected: list[RejectedRow]) -> list[_Flight]:
        """Sends a chunk, in as many requests as its size takes."""
        link = self._links.living()
        encoded = link.encoder.encode(chunk.rows, self._preparation(link.layout))
        rejected += encoded.rejected
        if not encoded.kept:
            return []
        kept = replace(chunk, rows=tuple(encoded.kept))
        size = encoded.request.ByteSize() + link.overhead_bytes
        if len(kept.rows) > 1 and size > BATCH_LIMIT_BYTES:
            return [flight for half in kept.halves() for flight in self._launch(half, rejected)]
        if size >= REQUEST_LIMIT_BYTES:
            rejected.append(RejectedRow(kept.rows[0], f"{size} bytes as a request", Reason.TOO_LARGE))
            return []
        return [_Flight(kept, link, link.connection.send(encoded.request))]

    def _preparation(self, layout: Layout) -> Callable[[Row], Row]:
        """What a row becomes before it is encoded: stamped, and as the table takes it now."""
        stamp = self._stamp
        if stamp is None:
            return layout.fit
        now = self._now()
        return lambda row: layout.fit({**row, stamp: now})

    def _worth_asking(self, rows: Sequence[Row]) -> bool:
        """Whether it could matter that the table has changed; what is refused is looked into anyway."""
        return (
            not self._links.alive
            or self._schema.has_drifted
            or any(row.get(EXTRA) is not None for row in rows)
        )

    def _refresh(self, deadline: float) -> None:
        self._schema.refresh(min(_READ_TIMEOUT_S, max(0.0, deadline - self._monotonic()) / 2))

    def _land(self, flight: _Flight, deadline: float, rejected: list[RejectedRow]) -> list[_Chunk]:
        """Wait for a request's answer; returns what has to be sent next."""
        try:
            answer = flight.answer.result(max(0.0, deadline - self._monotonic()))
        except TimeoutError:
            flight.link.connection.abandon("an append timed out")
            raise SinkUnavailable("no answer in time") from None
        except ConnectionLostError as lost:
            if lost.by_neighbour:
                return [flight.chunk]
            if flight.chunk.resent or ACTIONS[lost.code] is not Action.REOPEN:
                raise SinkUnavailable(str(lost)) from lost
            return [replace(flight.chunk, resent=True)]
        action = ACTIONS[answer.code]
        if action is Action.ACCEPT:
            self._accepted = flight.link.layout
            if flight.link.connection.has_news:
                self._hear(flight.link)
            return []
        if action is Action.ISOLATE and not answer.about_table:
            return self._diagnose(flight, answer, deadline, rejected)
        raise _unavailable(answer)

    def _hear(self, link: Link) -> None:
        schema = link.connection.take_updated_schema()
        # Connections that were replaced may still be answered; what they tell is older.
        if schema is not None and self._links.newest is link:
            self._schema.tell(columns_of(schema))

    def _diagnose(
        self, flight: _Flight, answer: AppendResult, deadline: float, rejected: list[RejectedRow]
    ) -> list[_Chunk]:
        """Find out what is wrong, the table's schema or a row; returns what has to be sent next."""
        self._refresh(deadline)
        if answer.about_schema:
            self._schema.withhold_added(flight.link.layout)
        if self._schema.layout is not flight.link.layout:
            return [flight.chunk]
        if answer.about_schema:
            raise _unavailable(answer)
        return self._isolate(flight, answer, rejected)

    def _isolate(self, flight: _Flight, answer: AppendResult, rejected: list[RejectedRow]) -> list[_Chunk]:
        rows = flight.chunk.rows
        named = {i: message for i, message in answer.row_errors if 0 <= i < len(rows)}
        if named:
            rejected += [RejectedRow(rows[i], text[:_DETAIL_CHARS]) for i, text in named.items()]
            rest = tuple(row for i, row in enumerate(rows) if i not in named)
            return [replace(flight.chunk, rows=rest)] if rest else []
        if len(rows) > 1:
            return flight.chunk.halves()
        if answer.ended_call and self._accepted is not flight.link.layout:
            # Nothing shows yet that table and schema are right: the rows may be innocent.
            raise _unavailable(answer)
        rejected.append(RejectedRow(rows[0], answer.message[:_DETAIL_CHARS]))
        return []


def _unavailable(answer: AppendResult) -> SinkUnavailable:
    return SinkUnavailable(f"{answer.code.name}: {answer.message[:_DETAIL_CHARS]}")
