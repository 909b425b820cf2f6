from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from pmp_runtime.bigquery.append.encoders import ArrowEncoder, ProtoEncoder, encoder_for
from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_schema.tables import Column, Table, table
from pmp_schema.topology import TOPOLOGY

EVERY_TYPE = Table(
    dataset="d",
    name="t",
    description="",
    partition_field="at",
    cluster=(),
    columns=(
        Column("id", "STRING", "REQUIRED"),
        Column("at", "TIMESTAMP", "NULLABLE"),
        Column("day", "DATE", "NULLABLE"),
        Column("count", "INTEGER", "NULLABLE"),
        Column("ratio", "FLOAT", "NULLABLE"),
        Column("flag", "BOOLEAN", "NULLABLE"),
        Column("doc", "JSON", "NULLABLE"),
        Column("raw", "BYTES", "NULLABLE"),
        Column("tags", "STRING", "REPEATED"),
    ),
)
FULL = {
    "id": "é\x00",
    "at": datetime(2025, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=2))),
    "day": date(1969, 12, 31),
    "count": -(2**63),
    "ratio": 0.1,
    "flag": False,
    "doc": b'{"a": [1, null]}',
    "raw": b"\xff\x00",
    "tags": ["a", "b"],
}
AS_STORED = FULL | {"at": datetime(2025, 1, 2, 1, 4, 5, 678901, UTC), "doc": '{"a": [1, null]}'}
EMPTY = dict.fromkeys(FULL) | {"id": "e", "tags": []}
ENCODERS = pytest.mark.parametrize("name", ["arrow", "proto"])


def arrow_rows(encoder, rows):
    schema = pa.ipc.read_schema(pa.py_buffer(encoder.schema().arrow_rows.writer_schema.serialized_schema))
    data = encoder.encode(rows).request.arrow_rows.rows.serialized_record_batch
    return pa.ipc.read_record_batch(pa.py_buffer(data), schema)


def proto_rows(encoder, rows):
    descriptor = encoder.schema().proto_rows.writer_schema.proto_descriptor
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", syntax="proto2", message_type=[descriptor])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.name))
    return [message.FromString(data) for data in encoder.encode(rows).request.proto_rows.rows.serialized_rows]


def test_arrow_carries_every_type():
    batch = arrow_rows(ArrowEncoder(EVERY_TYPE), [FULL, EMPTY])
    assert batch.to_pylist() == [AS_STORED, EMPTY]
    assert batch.schema.field("at").type == pa.timestamp("us", tz="UTC")
    assert batch.schema.field("doc").type == pa.string()
    assert not batch.schema.field("id").nullable


def test_proto_carries_every_type():
    full, empty = proto_rows(ProtoEncoder(EVERY_TYPE), [FULL, {"id": "e"}])
    assert {field.name: value for field, value in full.ListFields()} == AS_STORED | {
        "at": 1735779845678901,
        "day": -1,
    }
    assert [field.name for field, _ in empty.ListFields()] == ["id"]


def test_proto_fields_are_numbered_in_column_order():
    descriptor = ProtoEncoder(EVERY_TYPE).schema().proto_rows.writer_schema.proto_descriptor
    assert [(f.number, f.name) for f in descriptor.field] == list(enumerate(FULL, start=1))


@ENCODERS
@pytest.mark.parametrize("name_of_table", [t for d in TOPOLOGY.datasets.values() for t in d.tables])
def test_every_table_has_an_encoding(name, name_of_table):
    assert encoder_for(name, table(name_of_table)).schema().ByteSize() > 0


@ENCODERS
@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"id": None}, "id: required, but absent"),
        ({"id": 7}, "id: expected text, got int"),
        ({"id": "\ud800"}, "id: not encodable as UTF-8"),
        ({"at": "2025-01-01T00:00:00Z"}, "at: expected a datetime, got str"),
        ({"at": datetime(2025, 1, 1)}, "at: datetime without an offset"),  # noqa: DTZ001
        (
            {"at": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},
            "at: outside the years 1 to 9999 in UTC",
        ),
        (
            {"at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))},
            "at: outside the years 1 to 9999 in UTC",
        ),
        ({"day": datetime(2025, 1, 1, tzinfo=UTC)}, "day: expected a date, got datetime"),
        ({"count": 2**63}, "count: beyond 64 bits"),
        ({"count": 1.0}, "count: expected an integer, got float"),
        ({"count": True}, "count: expected an integer, got bool"),
        ({"ratio": 10**400}, "ratio: beyond the range of a double"),
        ({"ratio": "1"}, "ratio: expected a number, got str"),
        ({"flag": 0}, "flag: expected a boolean, got int"),
        ({"doc": {"a": 1}}, "doc: expected text, got dict"),
        ({"doc": b"\xff"}, "doc: not UTF-8"),
        ({"doc": r'{"a": "\ud83d"}'}, "doc: JSON with an unpaired surrogate"),
        ({"doc": rb'["\\\uDE00\ud83d"]'}, "doc: JSON with an unpaired surrogate"),
        ({"raw": "text"}, "raw: expected bytes, got str"),
        ({"tags": "a"}, "tags: expected a list, got str"),
        ({"tags": ["a", None]}, "tags: expected text, got NoneType"),
        ({"new": 1}, "unknown column: new"),
    ],
)
def test_a_row_that_does_not_fit_is_a_reject_and_the_others_are_kept(name, change, detail):
    encoded = encoder_for(name, EVERY_TYPE).encode([FULL, FULL | change, EMPTY])
    assert encoded.rejected == [RejectedRow(FULL | change, detail)]
    assert encoded.kept == [FULL, EMPTY]


@ENCODERS
def test_bounds_of_the_types_are_accepted(name):
    rows = [
        EMPTY | {"at": datetime.min.replace(tzinfo=UTC), "day": date.min, "count": 2**63 - 1},
        EMPTY | {"at": datetime.max.replace(tzinfo=UTC), "day": date.max, "ratio": float("nan")},
    ]
    assert encoder_for(name, EVERY_TYPE).encode(rows).rejected == []


@ENCODERS
@pytest.mark.parametrize("text", [r'["\ud83d\uDE00"]', r'["\\ud83d"]', r'["\u00e9"]', '["\U0001f600"]'])
def test_escapes_that_are_no_half_surrogates_are_accepted(name, text):
    assert encoder_for(name, EVERY_TYPE).encode([EMPTY | {"doc": text}]).rejected == []


@ENCODERS
def test_only_rejects_make_an_empty_request(name):
    encoded = encoder_for(name, EVERY_TYPE).encode([{}])
    assert encoded.kept == []
    assert encoded.request.ByteSize() == 0


def test_an_unknown_encoding_is_refused():
    with pytest.raises(ValueError, match="one of arrow, proto"):
        encoder_for("avro", EVERY_TYPE)
