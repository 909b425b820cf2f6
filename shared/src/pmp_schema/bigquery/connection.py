"""One AppendRows call, shared by many appends.

The library's own `AppendRowsStream` is not used: opening it polls every 80 ms for up to 600 s, longer than
any ack deadline, and it keeps `row_errors` to itself.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final

import grpc
from google.cloud.bigquery_storage_v1.types import AppendRowsResponse, StorageError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from pmp_schema.bigquery.status import code_of

logger = logging.getLogger(__name__)

TRACE_ID: Final = "mobility-pulse"
_JOIN_S: Final = 2.0
_StorageErrorMessage: Final[Any] = StorageError.pb()


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request.

    Attributes:
        code: OK when its rows are durable; nothing of it was appended otherwise.
        row_errors: (position in the request, message), possibly incomplete.
        about_table: the error names the table, its schema, its key or the stream: no row is at fault.
        ended_call: the server ended the whole call instead of answering the request.
    """

    code: grpc.StatusCode
    message: str = ""
    row_errors: tuple[tuple[int, str], ...] = ()
    about_table: bool = False
    ended_call: bool = False


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


def _about_table(status: Status) -> bool:
    for detail in status.details:
        error = _StorageErrorMessage()
        if detail.Unpack(error):
            return bool(error.code)
    return False


def _answer(response: Any) -> Answer:
    return Answer(
        code=code_of(response.error.code),
        message=response.error.message,
        row_errors=tuple((error.index, error.message) for error in response.row_errors),
        about_table=_about_table(response.error),
    )


def _final_answer(error: grpc.RpcError) -> Answer:
    status = Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    return Answer(error.code(), error.details() or "", (), _about_table(status), ended_call=True)


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
        self._pending: deque[Future[Answer]] = deque()
        self._outbox: SimpleQueue[Any] = SimpleQueue()
        self._ended: Answer | None = None
        self._schema_changed = False
        self._call = append_rows(
            iter(self._outbox.get, None),
            # The API routes the call to its region by this header.
            metadata=(("x-goog-request-params", f"write_stream={write_stream}"),),
        )
        self._reader = threading.Thread(target=self._read, name="append-responses", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        return self._ended is None

    def send(self, request: Any) -> Future[Answer]:
        """Queue a request behind those in flight; the future holds its answer or `ConnectionLostError`."""
        future: Future[Answer] = Future()
        # Required in the first request only, allowed in all, and the emulator asks for it in all.
        request.write_stream = self._write_stream
        with self._lock:
            ended = self._ended
            if ended is None:
                if self._schema is not None:
                    request.MergeFrom(self._schema)
                    request.trace_id = TRACE_ID
                    self._schema = None
                self._pending.append(future)
                self._outbox.put(request)
        if ended is not None:
            future.set_exception(ConnectionLostError(ended.code, ended.message))
        return future

    def abandon(self, message: str) -> None:
        """Cancel the call; whatever is in flight fails."""
        self._end(Answer(grpc.StatusCode.DEADLINE_EXCEEDED, message))
        self._call.cancel()

    def close(self) -> None:
        """Let the server answer what is in flight, then end the call and its threads."""
        self._outbox.put(None)
        self._reader.join(_JOIN_S)
        if self._reader.is_alive():
            self._end(Answer(grpc.StatusCode.CANCELLED, "closed"))
            self._call.cancel()
            self._reader.join(_JOIN_S)

    def _read(self) -> None:
        final = Answer(grpc.StatusCode.CANCELLED, "ended by the server", ended_call=True)
        try:
            for response in self._call:
                self._settle(AppendRowsResponse.pb(response))
        except grpc.RpcError as error:
            final = _final_answer(error)
        finally:
            self._end(final)

    def _settle(self, response: Any) -> None:
        with self._lock:
            future = self._pending.popleft() if self._pending else None
        if future is not None:
            future.set_result(_answer(response))
        if response.HasField("updated_schema") and not self._schema_changed:
            self._schema_changed = True
            logger.warning("table.schema_changed", extra={"write_stream": self._write_stream})

    def _end(self, final: Answer) -> None:
        with self._lock:
            if self._ended is not None:
                return
            self._ended = final
            lost = tuple(self._pending)
            self._pending.clear()
        self._outbox.put(None)
        if lost:
            logger.warning("connection.lost", extra={"code": final.code.name, "in_flight": len(lost)})
        # Requests are worked on in order: what is wrong with a request is wrong with the first.
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
