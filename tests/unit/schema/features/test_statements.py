import re
from datetime import UTC, date, datetime
from importlib.resources import files

import pytest

from pmp_schema.features import AGGREGATIONS, FeatureTables, Scope, catalogue, statements
from pmp_schema.tables import table, view_sql

AT = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)
TABLES = FeatureTables.of("my-project")
SCOPE = Scope(
    as_of=AT,
    known_at=AT,
    first_date=date(2025, 10, 19),
    open_from=date(2025, 11, 15),
    late_dates=(date(2025, 1, 2),),
)
STATEMENTS = {
    "closed_through": statements.closed_through(TABLES, before=AT.date()),
    "open_dates": statements.open_dates(TABLES, before=AT.date(), closed_through=None, known_at=AT),
    "feature_rows": statements.feature_rows(TABLES, catalogue(), SCOPE),
    "merge_station_features": statements.merge_station_features(
        TABLES, staging="my-project.pmp_features.staging", as_of=AT
    ),
    "stage_features": statements.stage_features(
        statements.feature_rows(TABLES, catalogue(), SCOPE), staging="my-project.pmp_features.staging"
    ),
    "count_station_features": statements.count_station_features(TABLES, as_of=AT),
    "merge_daily_counts": statements.merge_daily_counts(
        TABLES, closed_through=None, through=AT.date(), event_dates=[AT.date()]
    ),
    "doubled_daily_counts": statements.doubled_daily_counts(
        TABLES, closed_through=None, through=AT.date(), event_dates=[AT.date()]
    ),
}


def code(sql):
    return re.sub(r"--[^\n]*", "", sql)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_uses_its_parameters_and_no_others(name):
    statement = STATEMENTS[name]
    assert set(re.findall(r"@(\w+)", code(statement.sql))) == {one.name for one in statement.parameters}
    # The BigQuery emulator (1.4) takes an @ in a comment for a parameter.
    assert statement.sql.count("@") == code(statement.sql).count("@")


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_is_one_and_names_tables_of_the_project_only(name):
    sql = STATEMENTS[name].sql
    assert not re.search(r"[{};]", code(sql))
    names = set(re.findall(r"`([^`]+)`", sql))
    known = {
        f"my-project.{table(one).id}" for one in ("raw_events", "station_daily_counts", "station_features")
    }
    assert names
    assert names <= known | {"my-project.pmp_features.staging"}


def test_tables_can_be_elsewhere():
    tables = FeatureTables.of("p", raw_events="q.old.events", station_features="q.old.features")
    assert "`q.old.events`" in statements.feature_rows(tables, catalogue(), SCOPE).sql
    merge = statements.merge_station_features(tables, staging="p.d.s", as_of=AT)
    assert "`q.old.features`" in merge.sql
    assert tables.station_daily_counts == "p.pmp_curated.station_daily_counts"


def test_parameters_have_the_scopes_values():
    given = {one.name: (one.type, one.value) for one in STATEMENTS["feature_rows"].parameters}
    assert given == {
        "as_of": ("TIMESTAMP", AT),
        "known_at": ("TIMESTAMP", AT),
        "first_date": ("DATE", date(2025, 10, 19)),
        "open_from": ("DATE", date(2025, 11, 15)),
        "late_dates": ("DATE", (date(2025, 1, 2),)),
    }


def test_partitions_are_pruned_by_constants():
    """BigQuery prunes partitions by parameters, not by the result of a subquery."""
    assert "event_date BETWEEN @first_date AND DATE(@as_of)" in STATEMENTS["feature_rows"].sql
    assert "event_date IN UNNEST(@event_dates) AND" in STATEMENTS["merge_daily_counts"].sql


@pytest.mark.parametrize(
    ("name", "pruned"),
    [
        ("merge_station_features", "stored.event_date = DATE(@as_of)"),
        ("merge_daily_counts", "counts.event_date IN UNNEST(@event_dates)"),
    ],
)
def test_a_merge_reads_only_the_partitions_that_it_replaces(name, pruned):
    """A merge with unmatched rows of both sides is a full outer join, which prunes nothing: so it must not join."""
    _, no_join, clauses = code(STATEMENTS[name].sql).partition("\nON FALSE\n")
    assert no_join
    assert "WHEN MATCHED" not in clauses
    deletes = clauses.partition("WHEN NOT MATCHED BY SOURCE")[2]
    assert pruned in deletes


def test_every_aggregation_has_its_sql_and_every_file_its_aggregation():
    folder = files("pmp_schema.features").joinpath("sql", "aggregations")
    assert {path.name.removesuffix(".sql") for path in folder.iterdir()} == set(AGGREGATIONS)


def test_the_wide_view_has_the_features_of_the_catalogue():
    columns = [
        f"  MAX(IF(feature_name = '{one.name}' AND window_len = '{one.window}', value, NULL)) AS {one.column}"
        for one in catalogue()
    ]
    assert ",\n".join(columns) in view_sql("station_features_wide", "p")
    assert view_sql("station_features_wide", "p").count("MAX(") == len(columns)
