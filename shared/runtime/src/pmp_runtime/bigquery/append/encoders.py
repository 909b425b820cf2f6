"""Rows as the bytes of an append: one seam, two encodings of the same values.

Arrow is the default; some client references still call it allow-listed, and protocol buffers never were,
so that a project where Arrow is refused changes one setting.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa
from google.cloud.bigquery_storage_v1.types import AppendRowsRequest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from pmp_runtime.bigquery.append.row_values import RejectedRow, RowConverter
from pmp_schema.tables import Column, Row, Table

# The plain message: a tenth of the cost of its proto-plus wrapper for small appends.
RequestMessage: Final[Any] = AppendRowsRequest.pb()


def _as_it_is(row: Row) -> Row:
    return row


@dataclass(frozen=True, slots=True)
class Encoded:
    """One append's rows.

    Attributes:
        request: an `AppendRowsRequest` message in which only the rows are set.
        kept: the rows in the request, in its order.
        rejected: the other rows.
    """

    request: Any
    kept: list[Row]
    rejected: list[RejectedRow]


class RowEncoder(Protocol):
    """Turns rows of one table into append requests."""

    @property
    def table(self) -> Table:
        """Its columns are those of the requests."""

    def for_table(self, table: Table) -> "RowEncoder":
        """The same encoding for another table."""

    def schema(self) -> Any:
        """An `AppendRowsRequest` message with only the writer schema, for a connection's first request."""

    def encode(self, rows: Sequence[Row], prepare: Callable[[Row], Row] = _as_it_is) -> Encoded:
        """All rows that fit the table as one request, whatever its size."""


_ARROW_TYPES: Final = {
    "STRING": pa.string(),
    "JSON": pa.string(),
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "DATE": pa.date32(),
    "BYTES": pa.binary(),
}


def _arrow_field(column: Column) -> pa.Field:
    element = _ARROW_TYPES[column.type]
    kind = pa.list_(element) if column.mode == "REPEATED" else element
    return pa.field(column.name, kind, nullable=column.mode != "REQUIRED")


class ArrowEncoder:
    """Rows as one Arrow record batch."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._converter = RowConverter(table)
        self._schema = pa.schema([_arrow_field(column) for column in table.columns])

    def for_table(self, table: Table) -> "ArrowEncoder":
        return ArrowEncoder(table)

    def schema(self) -> Any:
        message = RequestMessage()
        message.arrow_rows.writer_schema.serialized_schema = self._schema.serialize().to_pybytes()
        return message

    def encode(self, rows: Sequence[Row], prepare: Callable[[Row], Row] = _as_it_is) -> Encoded:
        kept, converted, rejected = self._converter.convert_all(rows, prepare)
        message = RequestMessage()
        if kept:
            columns = zip(zip(*converted, strict=True), self._schema.types, strict=True)
            arrays = [pa.array(column, kind) for column, kind in columns]
            batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
            message.arrow_rows.rows.serialized_record_batch = batch.serialize().to_pybytes()
        return Encoded(message, kept, rejected)


_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_PROTO_TYPES: Final = {
    "STRING": _FIELD.TYPE_STRING,
    "JSON": _FIELD.TYPE_STRING,
    "INTEGER": _FIELD.TYPE_INT64,
    "FLOAT": _FIELD.TYPE_DOUBLE,
    "BOOLEAN": _FIELD.TYPE_BOOL,
    "TIMESTAMP": _FIELD.TYPE_INT64,  # microseconds since 1970-01-01
    "DATE": _FIELD.TYPE_INT32,  # days since 1970-01-01
    "BYTES": _FIELD.TYPE_BYTES,
}
_PROTO_LABELS: Final = {
    "REQUIRED": _FIELD.LABEL_REQUIRED,
    "NULLABLE": _FIELD.LABEL_OPTIONAL,
    "REPEATED": _FIELD.LABEL_REPEATED,
}


def _row_descriptor(table: Table) -> descriptor_pb2.DescriptorProto:
    descriptor = descriptor_pb2.DescriptorProto(name="Row")
    for number, column in enumerate(table.columns, start=1):
        descriptor.field.add(
            name=column.name,
            number=number,
            type=_PROTO_TYPES[column.type],
            label=_PROTO_LABELS[column.mode],
        )
    return descriptor


class ProtoEncoder:
    """Rows as one protocol-buffer message each (proto2, field numbers in column order)."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._converter = RowConverter(table)
        self._names = tuple(column.name for column in table.columns)
        self._descriptor = _row_descriptor(table)
        file = descriptor_pb2.FileDescriptorProto(name="row.proto", syntax="proto2")
        file.message_type.add().CopyFrom(self._descriptor)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self._message = message_factory.GetMessageClass(pool.FindMessageTypeByName("Row"))

    def for_table(self, table: Table) -> "ProtoEncoder":
        return ProtoEncoder(table)

    def schema(self) -> Any:
        message = RequestMessage()
        message.proto_rows.writer_schema.proto_descriptor.CopyFrom(self._descriptor)
        return message

    def encode(self, rows: Sequence[Row], prepare: Callable[[Row], Row] = _as_it_is) -> Encoded:
        kept, converted, rejected = self._converter.convert_all(rows, prepare)
        message = RequestMessage()
        if kept:
            message.proto_rows.rows.serialized_rows.extend(self._serialize(values) for values in converted)
        return Encoded(message, kept, rejected)

    def _serialize(self, values: list[object]) -> bytes:
        # A field set to None stays unset.
        return self._message(**dict(zip(self._names, values, strict=True))).SerializeToString()


ENCODERS: Final[dict[str, Callable[[Table], RowEncoder]]] = {"arrow": ArrowEncoder, "proto": ProtoEncoder}


def encoder_for(name: str, table: Table) -> RowEncoder:
    """The encoder of the setting's value.

    Raises:
        ValueError: `name` is neither `arrow` nor `proto`.
    """
    if name not in ENCODERS:
        raise ValueError(f"row encoding must be one of {', '.join(ENCODERS)}; got {name!r}")
    return ENCODERS[name](table)
