"""Whether BigQuery would accept the views, as far as it can be checked without BigQuery."""

import re

import pytest
import sqlglot
from sqlglot import exp

from pmp_schema.tables import table, view_sql
from pmp_schema.topology import TOPOLOGY

TABLES = [name for dataset in TOPOLOGY.datasets.values() for name in dataset.tables]
VIEWS = [name for dataset in TOPOLOGY.datasets.values() for name in dataset.views]
MATERIALIZED = {name: m for dataset in TOPOLOGY.datasets.values() for name, m in dataset.materialized.items()}

# What docs.cloud.google.com/bigquery/docs/materialized-views-create allows and these views use.
AGGREGATES = (exp.Count, exp.Max, exp.Min, exp.Sum)
SCALARS = (
    exp.TimestampTrunc,
    exp.Var,
    exp.JSONExtractScalar,
    exp.JSONPath,
    exp.JSONPathRoot,
    exp.JSONPathKey,
    exp.And,
    exp.EQ,
)
STRUCTURE = (exp.Select, exp.From, exp.Where, exp.Group, exp.Table, exp.Column, exp.Identifier, exp.Alias)


def parsed(name):
    return sqlglot.parse_one(view_sql(name, "my-project"), read="bigquery")


def sources(name):
    """The tables and views that a view reads; all are named in full."""
    sql = re.sub(r"--[^\n]*", "", view_sql(name, "my-project"))
    found = re.findall(r"`my-project\.(\w+)\.(\w+)`", sql)
    assert sql.count("`") == 2 * len(found) > 0
    assert all(TOPOLOGY.dataset_of(source).id == dataset for dataset, source in found)
    return [source for _, source in found]


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_one_query_in_bigquerys_dialect(name):
    (statement,) = sqlglot.parse(
        view_sql(name, "my-project"), read="bigquery", error_level=sqlglot.ErrorLevel.RAISE
    )
    assert isinstance(statement, exp.Query)
    assert view_sql(name, "p").startswith("-- ")  # what its rows are
    names = [column for column in statement.named_selects if column != "*"]
    assert len(set(names)) == len(names)
    assert "" not in names


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_comes_after_what_it_reads(name):
    before = {*TABLES, *VIEWS[: VIEWS.index(name)]}
    assert set(sources(name)) <= before


@pytest.mark.parametrize("name", MATERIALIZED)
def test_a_materialized_view_is_one_that_bigquery_can_keep_up_to_date(name):
    statement = parsed(name)
    (base,) = sources(name)
    assert base in TABLES
    assert TOPOLOGY.dataset_of(base) == TOPOLOGY.dataset_of(name)
    others = {
        type(node).__name__
        for node in statement.walk()
        if not isinstance(node, (*AGGREGATES, *SCALARS, *STRUCTURE, exp.Literal, exp.Star))
    }
    assert others == set()
    assert statement.args["group"] is not None


@pytest.mark.parametrize("name", MATERIALIZED)
def test_a_materialized_view_is_partitioned_by_the_days_of_its_base_table(name):
    stored = MATERIALIZED[name]
    (base,) = sources(name)
    statement = parsed(name)
    grouped = {column.name for column in statement.args["group"].expressions}
    (column,) = [one for one in statement.expressions if one.output_name == stored.partition_field]
    source = table(base).partition_field
    day_of_it = sqlglot.parse_one(f"TIMESTAMP_TRUNC({source}, DAY)", read="bigquery")
    assert column.unalias() in (exp.column(source), day_of_it)
    assert {stored.partition_field, *stored.cluster} <= grouped


@pytest.mark.parametrize(
    ("view", "base"),
    [
        ("latest_state", "station_status"),
        ("pipeline_health", "feed_polls"),
        ("pipeline_health", "events"),
        ("pipeline_health", "dead_letters"),
        ("systems", "station_information"),
    ],
)
def test_partitions_are_pruned_by_a_constant_bound(view, base):
    """BigQuery prunes partitions only by a comparison of the column itself with a constant."""
    column = table(base).partition_field
    scans = [
        select
        for select in parsed(view).find_all(exp.Select)
        if (source := select.args.get("from_")) and source.this.name == base
    ]
    assert scans
    for scan in scans:
        bounds = scan.args["where"].find_all(exp.GTE)
        assert any(
            bound.this.name == column
            and not bound.expression.find(exp.Column, exp.Subquery)
            and bound.find_ancestor(exp.Or) is None
            for bound in bounds
        )
