"""Group commit: concurrent requests share one append, and each answers only after its append is acknowledged.

There is no linger and no sender thread. A request that finds fewer than N appends in flight appends its rows at once,
in its own thread. The others queue; whoever finishes takes the next batch from the queue and hands it to its first
request. So a batch is exactly what queued up behind busy appends: one row when the service is idle, thousands when it
is not.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition, Lock
from typing import Final, Protocol

from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_schema.errors import QueueFull, SinkUnavailable
from pmp_schema.tables import Row

ROW_OVERHEAD_BYTES: Final = (
    200  # ids, timestamps, offsets: an estimate, the appender measures what it encodes
)


class Append(Protocol):
    """Makes rows durable; raises SinkUnavailable when a retry may help."""

    def __call__(self, rows: Sequence[Row], *, timeout_s: float) -> Sequence[RejectedRow]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one table's queue.

    Attributes:
        appends_in_flight: appends that may be unanswered at a time.
        batch_rows: rows per append; a request that is larger alone goes alone.
        batch_bytes: estimated bytes per append, likewise.
        queue_rows: rows that may wait.
        queue_bytes: estimated bytes that may wait.
        timeout_s: seconds for one append; a request waits at most half of it in the queue.
    """

    appends_in_flight: int
    batch_rows: int = 2000
    batch_bytes: int = 7_000_000
    queue_rows: int = 20_000
    queue_bytes: int = 64_000_000
    timeout_s: float


@dataclass(slots=True, eq=False)
class _Entry:
    """One request's rows. `batch` is set on the entry whose thread is to append it."""

    rows: Sequence[Row]
    size: int
    wake: Condition
    batch: "list[_Entry] | None" = None
    taken: bool = False
    done: bool = False
    failure: SinkUnavailable | None = None
    rejected: list[RejectedRow] = field(default_factory=list)


class GroupCommit:
    """The queue of one table.

    Args:
        append: called by many threads at a time, at most `appends_in_flight`.
    """

    def __init__(self, append: Append, limits: Limits) -> None:
        self._append = append
        self._limits = limits
        self._lock = Lock()
        self._queue: deque[_Entry] = deque()  # not empty only while `_in_flight` is at its limit
        self._queued_rows = 0
        self._queued_bytes = 0
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Appends that are unanswered now."""
        return self._in_flight

    @property
    def waiting_rows(self) -> int:
        """Rows behind them."""
        return self._queued_rows

    def submit(self, rows: Sequence[Row]) -> list[RejectedRow]:
        """Returns once every row is durable or rejected; a rejected row is one of `rows`.

        Raises:
            QueueFull: at once, without waiting.
            SinkUnavailable: the rows are not known to be durable; the message must come again.
        """
        if not rows:
            return []
        entry = _Entry(rows, sum(map(estimate_bytes, rows)), Condition(self._lock))
        with self._lock:
            self._enqueue(entry)
            if self._in_flight < self._limits.appends_in_flight:
                self._in_flight += 1
                self._elect()
            while not entry.taken:
                if not entry.wake.wait(self._limits.timeout_s / 2) and not entry.taken:
                    self._dequeue(entry)
                    raise SinkUnavailable("waited too long behind other appends")
            while not entry.done and entry.batch is None:
                entry.wake.wait()  # the append itself is bounded
        if entry.batch is not None:
            self._lead(entry.batch)
        if entry.failure is not None:
            # One failure belongs to a whole batch: raised by many threads at a time it would be torn apart.
            raise SinkUnavailable(str(entry.failure)) from entry.failure
        return entry.rejected

    def _enqueue(self, entry: _Entry) -> None:
        if self._queue and (
            self._queued_rows + len(entry.rows) > self._limits.queue_rows
            or self._queued_bytes + entry.size > self._limits.queue_bytes
        ):
            raise QueueFull(f"{self._queued_rows} rows are waiting")
        self._queue.append(entry)
        self._queued_rows += len(entry.rows)
        self._queued_bytes += entry.size

    def _dequeue(self, entry: _Entry) -> None:
        self._queue.remove(entry)
        self._queued_rows -= len(entry.rows)
        self._queued_bytes -= entry.size

    def _elect(self) -> None:
        """Takes the next batch from the queue and gives it to its first entry's thread."""
        batch: list[_Entry] = []
        rows = size = 0
        while self._queue:
            entry = self._queue[0]
            rows += len(entry.rows)
            size += entry.size
            if batch and (rows > self._limits.batch_rows or size > self._limits.batch_bytes):
                break
            self._dequeue(entry)
            entry.taken = True
            batch.append(entry)
        batch[0].batch = batch
        batch[0].wake.notify()

    def _lead(self, batch: list[_Entry]) -> None:
        failure = SinkUnavailable("the append ended unexpectedly")
        rejected: Sequence[RejectedRow] | None = None
        try:
            rejected = self._append(
                [row for entry in batch for row in entry.rows], timeout_s=self._limits.timeout_s
            )
        except SinkUnavailable as error:
            failure = error
        finally:
            with self._lock:
                self._settle(batch, rejected, failure)
                if self._queue:
                    self._elect()
                else:
                    self._in_flight -= 1

    @staticmethod
    def _settle(
        batch: list[_Entry], rejected: Sequence[RejectedRow] | None, failure: SinkUnavailable
    ) -> None:
        by_row = {id(one.row): one for one in rejected or ()}
        if by_row and not by_row.keys() <= {id(row) for entry in batch for row in entry.rows}:
            # A copy of a row cannot be given back to its request, which would acknowledge it.
            rejected, failure = None, SinkUnavailable("a rejected row is not of this batch")
        for entry in batch:
            if rejected is None:
                entry.failure = failure
            elif by_row:
                entry.rejected = [by_row[id(row)] for row in entry.rows if id(row) in by_row]
            entry.done = True
            entry.wake.notify()


def estimate_bytes(row: Row) -> int:
    """About what a row weighs when encoded."""
    return ROW_OVERHEAD_BYTES + sum(len(v) for v in row.values() if isinstance(v, str | bytes))
