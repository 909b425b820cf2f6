from dataclasses import replace

import pytest
from google.cloud.bigquery_storage_v1.types import TableFieldSchema, TableSchema

from pmp_runtime.bigquery.append.drift import DriftError, Layout, layout_of
from pmp_runtime.bigquery.append.encoders import encoder_for
from pmp_runtime.bigquery.append.live_schema import columns_of
from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_schema.errors import Reason
from pmp_schema.tables import Column, Table, table
from pmp_schema.topology import TOPOLOGY

KNOWN = Table(
    dataset="d",
    name="t",
    description="",
    partition_field="at",
    cluster=(),
    columns=(
        Column("id", "STRING", "REQUIRED"),
        Column("size", "INTEGER", "NULLABLE"),
        Column("tags", "STRING", "REPEATED"),
        Column("extra", "JSON", "NULLABLE"),
    ),
)
ID, SIZE, TAGS, EXTRA = KNOWN.columns
NEW = Column("new", "INTEGER", "NULLABLE")
ENCODERS = pytest.mark.parametrize("name", ["arrow", "proto"])


@pytest.mark.parametrize("name", [t for d in TOPOLOGY.datasets.values() for t in d.tables])
def test_rows_of_a_table_as_its_schema_file_has_it_stay_as_they_are(name):
    layout = layout_of(table(name), table(name).columns)
    assert layout == Layout(table(name))
    row = {"any": "row"}
    assert layout.fit(row) is row


@pytest.mark.parametrize(
    "live",
    [
        (ID, SIZE, TAGS, replace(EXTRA, type="STRING")),
        (replace(ID, type="STRING(10)"), SIZE, TAGS, EXTRA),
        (replace(ID, mode="NULLABLE"), SIZE, TAGS, EXTRA),
        (EXTRA, TAGS, SIZE, ID),
        tuple(replace(column, name=column.name.upper()) for column in KNOWN.columns),
    ],
)
def test_what_stores_the_same_is_no_drift(live):
    assert layout_of(KNOWN, live) == Layout(KNOWN)


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (None, "no such column in the table"),
        (replace(SIZE, type="FLOAT"), "INTEGER, but FLOAT in the table"),
        (replace(SIZE, type="NUMERIC(3)"), "INTEGER, but NUMERIC(3) in the table"),
        (replace(SIZE, mode="REPEATED"), "NULLABLE, but REPEATED in the table"),
    ],
)
def test_a_column_that_is_gone_or_another_takes_no_values(column, why):
    layout = layout_of(KNOWN, [c for c in (ID, column, TAGS, EXTRA) if c])
    assert layout.lacking == {"size": why}
    assert layout.table.columns == (ID, TAGS, EXTRA)
    assert layout.fit({"id": "1", "size": None}) == {"id": "1"}
    with pytest.raises(DriftError, match=f"^size: {why[:7]}"):
        layout.fit({"id": "1", "size": 0})


def test_an_empty_list_is_no_value():
    assert layout_of(KNOWN, (ID, SIZE, EXTRA)).fit({"id": "1", "tags": []}) == {"id": "1"}


def test_new_columns_are_filled_only_where_there_is_an_extra():
    assert layout_of(KNOWN, (*KNOWN.columns, NEW)).added == (NEW,)
    bare = replace(KNOWN, columns=(ID, SIZE))
    assert layout_of(bare, (ID, SIZE, NEW)) == Layout(bare)


@pytest.mark.parametrize(
    "column",
    [
        replace(NEW, type="NUMERIC"),
        replace(NEW, type="STRING(5)"),
        replace(NEW, type="STRUCT"),
        replace(NEW, name="größe"),
        replace(NEW, name="a-b"),
        replace(NEW, name="ex_tra"),
    ],
)
def test_a_new_column_that_cannot_be_encoded_is_left_alone(column):
    assert layout_of(KNOWN, (*KNOWN.columns, column)) == Layout(KNOWN)


@ENCODERS
def test_new_columns_whose_names_a_protocol_buffer_would_confuse_can_be_encoded(name):
    new = [replace(NEW, name=text) for text in ("aB", "a_b", "A_", "class", "self", "FromString")]
    layout = layout_of(KNOWN, (*KNOWN.columns, *new))
    encoder = encoder_for(name, layout.table)
    row = {"id": "1", "extra": b'{"aB":1,"a_b":2,"class":3,"self":4}'}
    assert encoder.encode([row], layout.fit).kept == [row]
    assert [column.name for column in layout.added][:1] == ["aB"]


@pytest.mark.parametrize("live", [(ID, replace(SIZE, mode="REQUIRED"), TAGS, EXTRA), (*KNOWN.columns, NEW)])
def test_a_value_that_only_the_table_requires_must_be_there(live):
    columns = tuple(replace(c, mode="REQUIRED") if c is NEW else c for c in live)
    layout = layout_of(KNOWN, columns)
    with pytest.raises(DriftError, match="REQUIRED in the table"):
        layout.fit({"id": "1"})
    assert layout.fit({"id": "1", "size": 1, "extra": b'{"new":2}'})["id"] == "1"


def test_a_layout_without_its_new_columns_is_what_it_was():
    layout = layout_of(KNOWN, (ID, TAGS, EXTRA, NEW))
    assert layout.without_added() == layout_of(KNOWN, (ID, TAGS, EXTRA))


@ENCODERS
def test_rejected_rows_are_those_that_were_given(name):
    layout = layout_of(KNOWN, (ID, TAGS, EXTRA, NEW))
    encoder = encoder_for(name, layout.table)
    rows = [{"id": "0", "size": 1}, {"id": "1"}, {"id": 2}, {"id": "3", "extra": b'{"new":1}'}]
    encoded = encoder.encode(rows, layout.fit)
    assert encoded.kept == [rows[1], rows[3]]
    assert encoded.rejected == [
        RejectedRow(rows[0], "size: no such column in the table", Reason.SCHEMA_DRIFT),
        RejectedRow(rows[2], "id: expected text, got int", Reason.ROW_REJECTED),
    ]


def test_columns_are_read_with_their_rest_types_and_lengths():
    kind, mode = TableFieldSchema.Type, TableFieldSchema.Mode
    schema = TableSchema(
        fields=[
            TableFieldSchema(name="a", type_=kind.INT64, mode=mode.REQUIRED),
            TableFieldSchema(name="b", type_=kind.DOUBLE),
            TableFieldSchema(name="c", type_=kind.BOOL, mode=mode.REPEATED),
            TableFieldSchema(name="d", type_=kind.STRING, max_length=10),
            TableFieldSchema(name="e", type_=kind.NUMERIC, precision=10, scale=2),
        ]
    )
    assert columns_of(TableSchema.pb(schema)) == (
        Column("a", "INTEGER", "REQUIRED"),
        Column("b", "FLOAT", "NULLABLE"),
        Column("c", "BOOLEAN", "REPEATED"),
        Column("d", "STRING(10)", "NULLABLE"),
        Column("e", "NUMERIC(10, 2)", "NULLABLE"),
    )
