"""The table changes while the writer runs."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from pmp_schema.tables import Column
from tests.faults.bench import LONG, PATHS

EVENTS_PATH = PATHS["raw_events"]


@contextmanager
def changed(bench, change):
    """The table of the sensor events with other columns."""
    schema = bench.storage.tables[EVENTS_PATH]
    bench.storage.tables[EVENTS_PATH] = replace(schema, columns=change(schema.columns))
    try:
        yield
    finally:
        bench.storage.tables[EVENTS_PATH] = schema
        bench.writer.kill()  # it would know the table so for up to a minute


def added(columns):
    return (*columns, Column("colour", "STRING", "NULLABLE"))


def removed(columns):
    return tuple(column for column in columns if column.name != "source")


def retyped(columns):
    return tuple(replace(column, type="INTEGER") if column.name == "source" else column for column in columns)


def test_a_new_column_is_filled_without_a_restart(bench):
    """13: new column"""
    bench.publish(bench.scale.messages // 4, colour="red")
    bench.settle()
    assert all('"red"' in str(row["extra"]) for row in bench.rows())
    with changed(bench, added):
        bench.publish(10, colour="green")  # an answer tells of the column
        bench.settle()
        bench.publish(bench.scale.messages // 4, colour="blue")
        outcome = bench.settle()
        blue = [row for row in bench.rows() if row.get("colour") == "blue"]
    assert len(blue) == bench.scale.messages // 4
    assert all(row["extra"] is None for row in blue)
    assert outcome.dead == ()


@pytest.mark.parametrize(
    "scale",
    [pytest.param(LONG, marks=[pytest.mark.faults, pytest.mark.timeout(400)])],
    indirect=True,
    ids=["long"],
)
@pytest.mark.parametrize("change", [removed, retyped])
def test_rows_that_a_changed_table_cannot_hold_are_dead_letters(bench, change):
    """13: column changed under the writer"""
    before = bench.publish(bench.scale.messages // 10)
    bench.settle()
    with changed(bench, change):
        during = bench.publish(bench.scale.messages // 10)
        outcome = bench.settle(180)  # the writer asks for the columns once a minute
    assert set(outcome.reasons) <= {"schema_drift", "row_rejected"}
    assert {row["original_message_id"] for row in outcome.dead} == set(during)
    assert {row["message_id"] for row in bench.rows()} == set(before)
