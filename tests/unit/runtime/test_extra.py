from datetime import UTC, date, datetime

import pytest

from pmp_runtime.bigquery.append.extra import FILLABLE, UnknownFields, place_extra
from pmp_schema.tables import Column

AT = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def placed(kind, text, mode="NULLABLE"):
    row = place_extra(
        {"id": "1", "extra": b'{"new":' + text.encode() + b',"x":1e2}'}, [Column("new", kind, mode)]
    )
    return row.get("new"), row["extra"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("STRING", '"\\u00e9"', "é"),
        ("STRING", '""', ""),
        ("INTEGER", "-9223372036854775808", -(2**63)),
        ("INTEGER", "0", 0),
        ("FLOAT", "0.1", 0.1),
        ("FLOAT", "3", 3),
        ("BOOLEAN", "false", False),
        ("TIMESTAMP", '"2025-01-02T03:04:05Z"', AT),
        ("TIMESTAMP", '"2025-01-02 05:04:05.000000000+02:00"', AT),
        ("TIMESTAMP", '"2025-01-02T03:04:05"', AT),
        ("DATE", '"2025-01-02"', date(2025, 1, 2)),
        ("BYTES", '"/wA="', b"\xff\x00"),
        ("JSON", '{"a": [1.0, null]}', b'{"a": [1.0, null]}'),
        ("JSON", '"text"', b'"text"'),
    ],
)
def test_a_value_that_fits_is_moved_and_the_rest_stays_as_it_was_written(kind, text, value):
    assert placed(kind, text) == (value, b'{"x":1e2}')


@pytest.mark.parametrize(
    ("kind", "text"),
    [(kind, "null") for kind in sorted(FILLABLE)]
    + [
        ("STRING", "1"),
        ("STRING", '"\\ud800"'),
        ("INTEGER", "1.0"),
        ("INTEGER", "9223372036854775808"),
        ("INTEGER", "true"),
        ("INTEGER", '"1"'),
        ("FLOAT", "9007199254740993"),
        ("FLOAT", "1" + "0" * 400),
        ("FLOAT", "1e999"),
        ("FLOAT", "true"),
        ("FLOAT", '"1"'),
        ("BOOLEAN", "0"),
        ("TIMESTAMP", "1735787045"),
        ("TIMESTAMP", '"1735787045"'),
        ("TIMESTAMP", '"2025-01-02"'),
        ("TIMESTAMP", '"2025-01-02T03:04:05.0000001Z"'),
        ("TIMESTAMP", '"2025-02-30T03:04:05Z"'),
        ("TIMESTAMP", '"9999-12-31T23:59:59-01:00"'),
        ("DATE", '"2025-02-30"'),
        ("DATE", '"20250102"'),
        ("DATE", '"2025-01-02T00:00:00Z"'),
        ("BYTES", '"/wB="'),
        ("BYTES", '"?"'),
        ("BYTES", "[1]"),
        ("JSON", '"\\ud800"'),
    ],
)
def test_a_value_that_does_not_fit_stays(kind, text):
    row = {"id": "1", "extra": b'{"new":' + text.encode() + b"}"}
    assert place_extra(row, [Column("new", kind, "NULLABLE")]) is row


def test_lists_fit_whole_or_not_at_all():
    assert placed("INTEGER", "[1,2]", "REPEATED") == ([1, 2], b'{"x":1e2}')
    assert placed("INTEGER", "[1,null]", "REPEATED") == (None, b'{"new":[1,null],"x":1e2}')
    assert placed("INTEGER", "1", "REPEATED")[0] is None


def test_an_extra_that_is_used_up_is_null():
    row = place_extra({"extra": '{"new":1}'}, [Column("new", "INTEGER", "NULLABLE")])
    assert row == {"new": 1, "extra": None}


def test_a_field_never_replaces_what_the_row_has():
    row = {"new": None, "extra": b'{"new":1}'}
    assert place_extra(row, [Column("new", "INTEGER", "NULLABLE")]) is row


@pytest.mark.parametrize(
    "extra", [None, b"", b"[1]", b"{", b'{"new":}', b"\xff", "\ud800", 7, b"[" * 100_000]
)
def test_an_extra_that_is_no_object_is_left_alone(extra, caplog):
    row = {"extra": extra}
    assert place_extra(row, [Column("new", "INTEGER", "NULLABLE")]) is row
    UnknownFields("d.t").count([row])
    assert caplog.records == []


def test_a_line_tells_in_how_many_rows_each_unknown_field_was(caplog):
    now_s = [0.0]
    fields = UnknownFields("d.t", monotonic=lambda: now_s[0])
    fields.count([{"extra": b'{"a":1}'}])
    fields.count([{"extra": b'{"a":1,"b":2}'}, {"extra": '{"b":{"c":1}}'}, {"extra": None}, {}], placed=["a"])
    now_s[0] = 60.0
    fields.count([])
    assert [(record.table, record.counts) for record in caplog.records] == [
        ("d.t", [{"name": "a", "count": 1}]),
        ("d.t", [{"name": "b", "count": 2}]),
    ]
