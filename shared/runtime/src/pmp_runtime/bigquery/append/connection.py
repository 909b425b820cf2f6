"""One AppendRows call, shared by many appends.

The library's own `AppendRowsStream` is not used: opening it polls every 80 ms for up to 600 s, longer than
any ack deadline, and it keeps `row_errors` to itself.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final

import grpc
from google.cloud.bigquery_storage_v1.types import AppendRowsResponse

from pmp_runtime.bigquery.append.results import AppendResult, final_result, result_of

logger = logging.getLogger(__name__)

TRACE_ID: Final = "mobility-pulse"


class ConnectionLostError(Exception):
    """The call ended before the request was answered; its rows may or may not be durable.

    Attributes:
        code: how the call ended.
        by_neighbour: another request, sent before this one, was what the server ended the call for.
    """

    def __init__(self, code: grpc.StatusCode, message: str, *, by_neighbour: bool = False) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.by_neighbour = by_neighbour


class Connection:
    """A pipelined AppendRows call on the default stream of one table.

    Responses come in the order of the requests; one thread matches them. When the call ends, every request
    in flight fails with `ConnectionLostError` and the connection stays dead; the caller opens another.
    """

    def __init__(self, append_rows: Callable[..., Any], write_stream: str, schema: Any) -> None:
        """Starts the call; returns at once.

        Args:
            append_rows: the generated transport's stub.
            write_stream: `projects/P/datasets/D/tables/T/streams/_default`.
            schema: `AppendRowsRequest` message that holds the writer schema.
        """
        self._write_stream = write_stream
        self._schema: Any | None = schema
        self._lock = threading.Lock()
        self._pending: deque[Future[AppendResult]] = deque()
        self._outbox: SimpleQueue[Any] = SimpleQueue()
        self._ended: AppendResult | None = None
        self._retired = False
        self._updated_schema: Any | None = None
        self._call = append_rows(
            iter(self._outbox.get, None),
            # The API routes the call to its region by this header.
            metadata=(("x-goog-request-params", f"write_stream={write_stream}"),),
        )
        self._reader = threading.Thread(target=self._read, name="append-responses", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether it takes requests."""
        return self._ended is None and not self._retired

    @property
    def has_news(self) -> bool:
        """Whether an answer came with the table's new schema, which nobody has taken yet."""
        return self._updated_schema is not None

    def take_updated_schema(self) -> Any | None:
        """The newest `TableSchema` message that came with an answer; once."""
        with self._lock:
            schema, self._updated_schema = self._updated_schema, None
        return schema

    def send(self, request: Any) -> Future[AppendResult]:
        """Queue a request behind those in flight; the future holds its answer or `ConnectionLostError`."""
        future: Future[AppendResult] = Future()
        # Required in the first request only, allowed in all, and the emulator asks for it in all.
        request.write_stream = self._write_stream
        with self._lock:
            ended, retired = self._ended, self._retired
            if ended is None and not retired:
                if self._schema is not None:
                    request.MergeFrom(self._schema)
                    request.trace_id = TRACE_ID
                    self._schema = None
                self._pending.append(future)
                self._outbox.put(request)
        if ended is not None:
            future.set_exception(ConnectionLostError(ended.code, ended.message))
        elif retired:
            # Never sent: nothing that its rows are to blame for, and no attempt of theirs.
            future.set_exception(ConnectionLostError(grpc.StatusCode.CANCELLED, "retired", by_neighbour=True))
        return future

    def retire(self) -> None:
        """Take no more requests, and end by itself once those in flight are answered; returns at once."""
        with self._lock:
            self._retired = True
            self._outbox.put(None)

    def abandon(self, message: str) -> None:
        """Cancel the call; whatever is in flight fails."""
        self._end(AppendResult(grpc.StatusCode.DEADLINE_EXCEEDED, message))
        self._call.cancel()

    def _read(self) -> None:
        final = AppendResult(grpc.StatusCode.CANCELLED, "ended by the server", ended_call=True)
        try:
            for response in self._call:
                self._settle(AppendRowsResponse.pb(response))
        except grpc.RpcError as error:
            final = final_result(error)
        finally:
            self._end(final)

    def _settle(self, response: Any) -> None:
        with self._lock:
            if response.HasField("updated_schema"):
                self._updated_schema = response.updated_schema
            future = self._pending.popleft() if self._pending else None
        if future is not None:
            future.set_result(result_of(response))

    def _end(self, final: AppendResult) -> None:
        with self._lock:
            if self._ended is not None:
                return
            self._ended = final
            lost = tuple(self._pending)
            self._pending.clear()
        self._outbox.put(None)
        if lost:
            logger.warning("connection.lost", extra={"code": final.code.name, "in_flight": len(lost)})
        # Requests are processed in order, so the error belongs to the oldest unanswered one.
        blamed = final.code is grpc.StatusCode.INVALID_ARGUMENT
        for position, future in enumerate(lost):
            if blamed and position == 0:
                future.set_result(final)
            else:
                future.set_exception(ConnectionLostError(final.code, final.message, by_neighbour=blamed))


Connect = Callable[[str, Any], Connection]
"""Opens a connection: (write stream, schema message) -> Connection."""


def connector(client: Any) -> Connect:
    """Opens connections with a `BigQueryWriteClient`."""

    def connect(write_stream: str, schema: Any) -> Connection:
        return Connection(client.transport.append_rows, write_stream, schema)

    return connect
