"""BigQuery's Storage Write API as a strict gRPC server on loopback: default streams, Arrow and proto rows.

Stricter than the emulator, as BigQuery is: one bad row and nothing of its request is appended; unknown
fields, absent REQUIRED values, wrong types, invalid JSON, partitions of another decade and oversized requests are
errors. Requests of one call are worked on in order; `latency_s` passes for all of them at the same time. Tables may
change at any time.
"""

import json
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1.types import (
    AppendRowsRequest,
    AppendRowsResponse,
    GetWriteStreamRequest,
    StorageError,
    TableFieldSchema,
    TableSchema,
    WriteStream,
    WriteStreamView,
)
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, unknown_fields
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from pmp_schema.tables import Table

StorageErrorCode = StorageError.StorageErrorCode
LIMIT_BYTES = 10 * 1024 * 1024
# What BigQuery takes: https://cloud.google.com/bigquery/docs/write-api#time-unit_column_partitioning
PARTITIONS_BEFORE, PARTITIONS_AFTER = timedelta(days=3650), timedelta(days=366)
_SERVICE = "/google.cloud.bigquery.storage.v1.BigQueryWrite"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
FieldProto = descriptor_pb2.FieldDescriptorProto

Row = dict[str, object]


@dataclass(frozen=True)
class Answer:
    """Answer the request with an error; nothing of it is appended and the call goes on."""

    code: StatusCode
    storage_error: int = 0


@dataclass(frozen=True)
class EndCall:
    """End the whole call instead of answering; `committed`: append the rows first."""

    code: StatusCode
    committed: bool = False
    storage_error: int = 0


@dataclass(frozen=True)
class Hang:
    """Never answer; `committed`: append the rows first."""

    committed: bool = False


@dataclass(frozen=True)
class SchemaUpdated:
    """Append, and tell the table's schema as if it were new."""


class EndedError(Exception):
    """The call ends with this code."""

    def __init__(self, code: StatusCode, message: str, storage_error: int = 0) -> None:
        self.code, self.message, self.storage_error = code, message, storage_error


class RequestError(Exception):
    """The request is answered with INVALID_ARGUMENT."""

    def __init__(
        self, message: str, row_errors: dict[int, str] | None = None, storage_error: int = 0
    ) -> None:
        super().__init__(message)
        self.row_errors, self.storage_error = row_errors or {}, storage_error


@dataclass
class _Call:
    """What a connection remembers from its first request."""

    path: str = ""
    first: Any = None
    told: Table | None = None
    table: Table | None = None
    decode: Callable[[Any], list[Row | str]] | None = None


@dataclass
class StorageWriteServer:
    """The fake.

    Attributes:
        tables: `projects/P/datasets/D/tables/T` to its schema; any other table is NOT_FOUND. Put another schema
            there to change a table.
        announces: the next answer of a call tells of a change, as BigQuery's does and the emulator's never.
        stale: what GetWriteStream tells where it is behind, by path.
        read_gate: GetWriteStream answers only while it is set.
        script: faults for the next requests, one each; None lets one through.
        rule: asked for the fault of a request, with its number of rows, once the script is empty.
        reject_row: why a row is named in `row_errors`, or None.
        refuse_row: true for a row that makes its request INVALID_ARGUMENT without `row_errors`.
        kill_row: true for a row whose request ends the call with INVALID_ARGUMENT.
        now: aware UTC clock; rows of partitions too far from it are named in `row_errors`.
        denied: every call ends with PERMISSION_DENIED.
        committed: per table, the appended rows in order.
        requests: number of rows of every request that arrived.
        connections: first requests that arrived.
        schema_reads: GetWriteStream calls that asked for the schema.
    """

    tables: dict[str, Table]
    latency_s: float = 0.0
    announces: bool = True
    stale: dict[str, Table] = field(default_factory=dict)
    read_gate: threading.Event = field(default_factory=threading.Event)
    script: deque[Any] = field(default_factory=deque)
    rule: Callable[[int], Any] = lambda rows: None
    reject_row: Callable[[Row], str | None] = lambda row: None
    refuse_row: Callable[[Row], bool] = lambda row: False
    kill_row: Callable[[Row], bool] = lambda row: False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    denied: bool = False
    committed: dict[str, list[Row]] = field(default_factory=dict)
    requests: list[int] = field(default_factory=list)
    connections: int = 0
    schema_reads: int = 0
    trace_ids: list[str] = field(default_factory=list)
    routing: list[str] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.read_gate.set()
        self._server: grpc.Server | None = None

    def __enter__(self) -> "StorageWriteServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        server = grpc.server(
            ThreadPoolExecutor(max_workers=32),
            options=[("grpc.max_receive_message_length", 2 * LIMIT_BYTES), ("grpc.so_reuseport", 0)],
        )
        server.add_generic_rpc_handlers([_Routes(self._append_rows, self._get_write_stream)])
        self.port = server.add_insecure_port(self.address)
        server.start()
        self._server = server

    def stop(self) -> None:
        """Stop listening and end all calls."""
        if self._server is not None:
            self._server.stop(grace=None).wait(5)
            self._server = None

    def rows(self, path: str) -> list[Row]:
        with self._lock:
            return list(self.committed.get(path, []))

    def _get_write_stream(self, raw: bytes, context: grpc.ServicerContext) -> bytes:
        request = GetWriteStreamRequest.deserialize(raw)
        path = request.name.removesuffix("/streams/_default")
        if self.denied:
            context.abort(StatusCode.PERMISSION_DENIED, "no bigquery.tables.get")
        answer = WriteStream(name=request.name, type_=WriteStream.Type.COMMITTED)
        if request.view == WriteStreamView.FULL:
            with self._lock:
                self.schema_reads += 1
            self.read_gate.wait(30)
            if path in self.tables:
                answer.table_schema = _schema_of(self.stale.get(path, self.tables[path]))
        if path not in self.tables:
            context.abort(StatusCode.NOT_FOUND, f"no table {path}")
        return WriteStream.serialize(answer)

    def _append_rows(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        over = threading.Event()
        context.add_callback(over.set)
        self.routing.append(dict(context.invocation_metadata()).get("x-goog-request-params", ""))
        call = _Call()
        with closing(_Arrivals(requests, over)) as arrivals:
            try:
                for arrived_at, raw in arrivals:
                    over.wait(max(0.0, arrived_at + self.latency_s - time.monotonic()))
                    yield self._respond(call, raw, over)
            except EndedError as ended:
                status = _status(ended.code, ended.message, ended.storage_error)
                context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
                context.abort(ended.code, ended.message)

    def _respond(self, call: _Call, raw: bytes, over: threading.Event) -> bytes:
        response = AppendRowsResponse.pb()()
        try:
            fault, rows = self._receive(call, raw)
            if isinstance(fault, Hang):
                if fault.committed:
                    self._commit(call, rows)
                over.wait()
                raise EndedError(StatusCode.CANCELLED, "hung until the client gave up")
            if isinstance(fault, Answer):
                response.error.CopyFrom(_status(fault.code, "scripted", fault.storage_error))
                return response.SerializeToString()
            if isinstance(fault, EndCall) and not fault.committed:
                raise EndedError(fault.code, "scripted", fault.storage_error)
            self._commit(call, rows)
            if isinstance(fault, EndCall):
                raise EndedError(fault.code, "scripted", fault.storage_error)
            response.append_result.SetInParent()
            if isinstance(fault, SchemaUpdated):
                response.updated_schema.CopyFrom(TableSchema.pb(_schema_of(call.table)))
            elif self.announces and call.told is not call.table:
                call.told = call.table
                response.updated_schema.CopyFrom(TableSchema.pb(_schema_of(call.table)))
        except RequestError as error:
            response.error.CopyFrom(_status(StatusCode.INVALID_ARGUMENT, str(error), error.storage_error))
            for index, message in error.row_errors.items():
                response.row_errors.add(index=index, code=1, message=message)
        response.write_stream = f"{call.path}/streams/_default"
        return response.SerializeToString()

    def _receive(self, call: _Call, raw: bytes) -> tuple[Any, list[Row | str]]:
        if len(raw) >= LIMIT_BYTES:
            raise EndedError(StatusCode.INVALID_ARGUMENT, f"MessageSize is too large: {len(raw)}")
        request = AppendRowsRequest.pb().FromString(raw)
        if call.first is None:
            self._open(call, request)
        elif request.write_stream not in ("", f"{call.path}/streams/_default"):
            raise EndedError(StatusCode.INVALID_ARGUMENT, "the stream was changed within the call")
        if request.HasField("offset"):
            raise RequestError("the default stream takes no offset")
        self._follow(call)
        rows = call.decode(request)
        with self._lock:
            self.requests.append(len(rows))
            return (self.script.popleft() if self.script else self.rule(len(rows))), rows

    def _open(self, call: _Call, request: Any) -> None:
        if self.denied:
            raise EndedError(StatusCode.PERMISSION_DENIED, "no bigquery.tables.updateData")
        path, suffix, rest = request.write_stream.partition("/streams/_default")
        if not suffix or rest:
            raise EndedError(StatusCode.INVALID_ARGUMENT, "no stream of a table in the first request")
        call.path, call.first = path, request
        self._follow(call)
        call.told = call.table
        self.committed.setdefault(path, [])
        with self._lock:
            self.connections += 1
            self.trace_ids.append(request.trace_id)

    def _follow(self, call: _Call) -> None:
        """Every request is held against the table as it is now, with the schema of the call's first one."""
        table = self.tables.get(call.path)
        if table is None:
            code = StorageError.StorageErrorCode.TABLE_NOT_FOUND
            raise EndedError(StatusCode.NOT_FOUND, f"no table {call.path}", code)
        if table is not call.table:
            call.decode = _decoder(call.first, table)
            call.table = table

    def _commit(self, call: _Call, rows: list[Row | str]) -> None:
        errors: dict[int, str] = {}
        for index, row in enumerate(rows):
            error = (
                row
                if isinstance(row, str)
                else _fault_of(row, call.table)
                or _bounds_fault_of(row, call.table, self.now())
                or self.reject_row(row)
            )
            if error:
                errors[index] = error
        if errors:
            raise RequestError("Errors found while processing rows. See row_errors.", errors)
        if any(self.kill_row(row) for row in rows):
            raise EndedError(StatusCode.INVALID_ARGUMENT, "bad request")
        if any(self.refuse_row(row) for row in rows):
            raise RequestError("bad request")
        with self._lock:
            self.committed[call.path].extend(rows)


class _Routes(grpc.GenericRpcHandler):
    def __init__(self, append_rows: Callable[..., Any], get_write_stream: Callable[..., Any]) -> None:
        self._handlers = {
            f"{_SERVICE}/AppendRows": grpc.stream_stream_rpc_method_handler(append_rows),
            f"{_SERVICE}/GetWriteStream": grpc.unary_unary_rpc_method_handler(get_write_stream),
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._handlers.get(details.method)


class _Arrivals:
    """Requests with their times of arrival, taken off the wire while earlier ones are still worked on."""

    def __init__(self, requests: Iterator[bytes], over: threading.Event) -> None:
        self._queue: queue.SimpleQueue[tuple[float, bytes] | None] = queue.SimpleQueue()
        self._requests, self._over = requests, over
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        try:
            for request in self._requests:
                self._queue.put((time.monotonic(), request))
        except grpc.RpcError:
            pass  # the client cancelled
        except Exception:  # gRPC raises a bare one when the call has ended
            if not self._over.is_set():
                raise
        finally:
            self._queue.put(None)

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        while (item := self._queue.get()) is not None:
            yield item

    def close(self) -> None:
        self._queue.put(None)


_STORAGE_TYPES = {"INTEGER": "INT64", "FLOAT": "DOUBLE", "BOOLEAN": "BOOL"}


def _schema_of(table: Table) -> TableSchema:
    return TableSchema(
        fields=[
            TableFieldSchema(
                name=column.name,
                type_=TableFieldSchema.Type[_STORAGE_TYPES.get(column.type, column.type)],
                mode=TableFieldSchema.Mode[column.mode],
            )
            for column in table.columns
        ]
    )


def _status(code: StatusCode, message: str, storage_error: int) -> Status:
    status = Status(code=code.value[0], message=message)
    if storage_error:
        status.details.add().Pack(StorageError.pb(StorageError(code=storage_error)))
    return status


def _decoder(request: Any, table: Table) -> Callable[[Any], list[Row | str]]:
    kind = request.WhichOneof("rows")
    if kind == "arrow_rows" and request.arrow_rows.HasField("writer_schema"):
        return _arrow_decoder(request.arrow_rows.writer_schema.serialized_schema, table)
    if kind == "proto_rows" and request.proto_rows.HasField("writer_schema"):
        return _proto_decoder(request.proto_rows.writer_schema.proto_descriptor, table)
    raise EndedError(StatusCode.INVALID_ARGUMENT, "no writer schema in the first request")


def _check_names(names: list[str], table: Table) -> None:
    known = {column.name for column in table.columns}
    extra = [name for name in names if name not in known]
    if extra:
        code = int(StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS)
        raise RequestError(f"Input schema has more fields than BigQuery schema: {extra}", storage_error=code)


ARROW_TYPES = {
    "STRING": pa.string(),
    "JSON": pa.string(),
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "DATE": pa.date32(),
    "BYTES": pa.binary(),
}


def _arrow_decoder(serialized: bytes, table: Table) -> Callable[[Any], list[Row | str]]:
    schema = pa.ipc.read_schema(pa.py_buffer(serialized))
    columns = {column.name: column for column in table.columns}
    _check_names(schema.names, table)
    for given in schema:
        wanted = ARROW_TYPES.get(columns[given.name].type)
        if wanted and columns[given.name].mode == "REPEATED":
            wanted = pa.list_(wanted)
        if given.type != wanted:
            raise EndedError(StatusCode.INVALID_ARGUMENT, f"{given.name}: {given.type} where {wanted} is due")

    absent = {name: [] if column.mode == "REPEATED" else None for name, column in columns.items()}

    def decode(request: Any) -> list[Row | str]:
        data = request.arrow_rows.rows.serialized_record_batch
        try:
            batch = pa.ipc.read_record_batch(pa.py_buffer(data), schema)
            batch.validate(full=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise RequestError(f"cannot read the record batch: {error}") from error
        values = [
            column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
            for column in batch.columns
        ]
        rows = pa.RecordBatch.from_arrays(values, names=schema.names).to_pylist()
        return [_presentable(absent | row, table) for row in rows]

    return decode


PROTO_TYPES = {
    "STRING": FieldProto.TYPE_STRING,
    "JSON": FieldProto.TYPE_STRING,
    "INTEGER": FieldProto.TYPE_INT64,
    "FLOAT": FieldProto.TYPE_DOUBLE,
    "BOOLEAN": FieldProto.TYPE_BOOL,
    "TIMESTAMP": FieldProto.TYPE_INT64,
    "DATE": FieldProto.TYPE_INT32,
    "BYTES": FieldProto.TYPE_BYTES,
}


def _proto_decoder(descriptor: Any, table: Table) -> Callable[[Any], list[Row | str]]:
    columns = {column.name: column for column in table.columns}
    _check_names([given.name for given in descriptor.field], table)
    for given in descriptor.field:
        if given.type != PROTO_TYPES.get(columns[given.name].type):
            raise EndedError(
                StatusCode.INVALID_ARGUMENT,
                f"The proto field mismatched with BigQuery field at Row.{given.name}, the proto field type "
                f"{given.type}, BigQuery field type {columns[given.name].type}",
            )
        if (given.label == FieldProto.LABEL_REPEATED) != (columns[given.name].mode == "REPEATED"):
            raise EndedError(StatusCode.INVALID_ARGUMENT, f"{given.name}: wrong mode")
    file = descriptor_pb2.FileDescriptorProto(name="sent.proto", syntax="proto2", message_type=[descriptor])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message_type = message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.name))
    repeated = [name for name, column in columns.items() if column.mode == "REPEATED"]

    def decode_row(data: bytes) -> Row | str:
        message = message_type()
        try:
            message.ParseFromString(data)
        except DecodeError as error:
            return f"not a row message: {error}"
        if len(unknown_fields.UnknownFieldSet(message)):
            return "unknown fields"
        sent = {f.name: list(v) if f.name in repeated else v for f, v in message.ListFields()}
        absent = {name: [] if name in repeated else None for name in columns}
        return _presentable(absent | sent, table)

    return lambda request: [decode_row(data) for data in request.proto_rows.rows.serialized_rows]


def _presentable(row: Row, table: Table) -> Row | str:
    """The row with its times as Python objects, or what is wrong with them."""
    for column in table.columns:
        value = row.get(column.name)
        if column.type == "TIMESTAMP" and isinstance(value, int):
            try:
                row[column.name] = _EPOCH + value * _US
            except OverflowError:
                return f"{column.name}: timestamp out of range"
        if column.type == "DATE" and isinstance(value, int):
            row[column.name] = date(1970, 1, 1) + timedelta(days=value)
    return row


def _fault_of(row: Row, table: Table) -> str | None:
    for column in table.columns:
        value = row.get(column.name)
        if value is None and column.mode == "REQUIRED":
            return f"{column.name}: required field is missing"
        if value is not None and column.type == "JSON" and not _is_json(str(value)):
            return f"{column.name}: invalid JSON"
    return None


def _bounds_fault_of(row: Row, table: Table, now: datetime) -> str | None:
    column = table.partition_field
    value = row[column]
    day = value.date() if isinstance(value, datetime) else value
    if (now - PARTITIONS_BEFORE).date() <= day <= (now + PARTITIONS_AFTER).date():
        return None
    return f"Value {value} for partition column {column} is outside the allowed bounds"


def _is_json(text: str) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True
