"""From staged rows to the rows of an as_of, on DuckDB and with a client that loses against another."""

from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions

from pmp_beam.station_features.run_bigquery import RunBigQuery
from pmp_beam.station_features.staging import ContestedRunError, EmptyRunError, merge_staged, staged_keys
from pmp_runtime.bigquery.queries import BigQueryUnavailable
from pmp_runtime.bigquery.statements import is_conflict
from pmp_schema.features import Statement
from tests.fakes.duck_warehouse import Duck
from tests.fakes.feature_run import by_key

AS_OF = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)


def row(station, value, as_of=AS_OF):
    return {
        "city_id": "c",
        "station_id": station,
        "feature_name": "pickup_count",
        "window_len": "2h",
        "value": value,
        "as_of": as_of,
        "event_date": as_of.date(),
    }


def merge(duck, written=1):
    return merge_staged(duck, duck.tables, staging=duck.staging, as_of=AS_OF, written=written)


def test_rows_that_were_appended_twice_count_once():
    duck = Duck()
    duck.insert("staging", [row("s1", 1.0), row("s1", 1.0), row("s2", 2.0)])
    assert merge(duck, written=2) == 2
    assert by_key(duck.rows("station_features")) == {
        ("c", "s1", "pickup_count", "2h"): 1.0,
        ("c", "s2", "pickup_count", "2h"): 2.0,
    }


class ContestedDuck(Duck):
    """Another run of the same as_of merges its rows at the same time as the first merges."""

    def __init__(self, merges):
        super().__init__()
        self.merges = merges

    def query(self, statement):
        found = super().query(statement)
        if "MERGE" in statement.sql and self.merges:
            self.merges -= 1
            self.insert("station_features", [row("s1", 5.0), row("other", 6.0)])
        return found


def test_two_runs_that_merge_at_once_leave_one_set():
    """Where there was no set before, neither deletes a row; so BigQuery lets both pass, and both sets are there."""
    duck = ContestedDuck(merges=1)
    duck.insert("staging", [row("s1", 1.0), row("s1", 1.0)])
    assert merge(duck) == 1
    assert by_key(duck.rows("station_features")) == {("c", "s1", "pickup_count", "2h"): 1.0}


def test_a_run_whose_rows_are_not_alone_in_the_end_fails():
    duck = ContestedDuck(merges=2)
    duck.insert("staging", [row("s1", 1.0)])
    with pytest.raises(ContestedRunError, match="goes on merging rows of 2025-11-16T02:15:00"):
        merge(duck)


def test_no_rows_where_there_were_none_is_a_run_without_rows():
    assert merge(Duck(), written=0) == 0


def test_no_rows_never_delete_a_set_that_is_there():
    duck = Duck()
    duck.insert("station_features", [row("s1", 1.0)])
    duck.insert("station_features", [row("s1", 1.0)])
    with pytest.raises(EmptyRunError, match="2 are stored for 2025-11-16T02:15:00"):
        merge(duck, written=0)
    assert len(duck.rows("station_features")) == 2


def test_rows_of_another_as_of_are_not_counted():
    duck = Duck()
    duck.insert("staging", [row("s1", 1.0), row("s1", 1.0, AS_OF - timedelta(minutes=30))])
    assert staged_keys(duck, duck.staging, AS_OF) == 1


class LateDuck(Duck):
    """Shows staged rows only when it is asked again."""

    def __init__(self, rows):
        super().__init__()
        self.late = rows

    def query(self, statement):
        found = super().query(statement)
        self.insert("staging", self.late)
        self.late = []
        return found


def test_rows_that_are_not_visible_yet_are_waited_for():
    duck = LateDuck([row("s1", 1.0)])
    assert merge(duck, written=1) == 1
    assert len(duck.rows("station_features")) == 1


class Job:
    def result(self, **_):
        return [{"n": 1}]


class ContestedClient:
    """Fails statements with the given errors, one after the other."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.statements = []

    def query(self, sql, *_, **__):
        self.statements.append(sql)
        if self.errors:
            raise self.errors.pop(0)
        return Job()


LOST = exceptions.BadRequest("Could not serialize access to table p:d.t due to concurrent update")


def test_a_statement_that_lost_against_another_is_run_again_and_says_so(caplog):
    client = ContestedClient(LOST)
    assert RunBigQuery(client, call_s=1, statement_s=1).query(Statement("MERGE")) == [{"n": 1}]
    assert client.statements == ["MERGE", "MERGE"]
    assert [record.message for record in caplog.records] == ["statement.conflicted"]


def test_a_statement_that_is_wrong_is_not_run_again():
    client = ContestedClient(exceptions.BadRequest("Syntax error"))
    with pytest.raises(BigQueryUnavailable, match="Syntax error"):
        RunBigQuery(client, call_s=1, statement_s=1).query(Statement("MERGE"))
    assert client.statements == ["MERGE"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LOST, True),
        (exceptions.BadRequest("Transaction is aborted due to concurrent update against table"), True),
        (exceptions.BadRequest("No matching signature"), False),
        (exceptions.NotFound("Could not serialize access"), False),
        (ValueError("Could not serialize access"), False),
    ],
)
def test_only_a_lost_race_is_a_conflict(error, expected):
    assert is_conflict(error) is expected
