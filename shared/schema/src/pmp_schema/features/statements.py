"""The SQL of the features: statements with their parameters, rendered from the catalogue and the files in sql/.

A feature run: `plan.read_scope` finds out what to read, `feature_rows` computes the rows, `stage_features` stores them
in a staging table, and `merge_station_features` makes them the rows of their as_of. Once a day, or before a run,
`plan.close_days` adds the ingest dates that are over to the daily counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

from pmp_schema.features.aggregations import LARGE_DELTA, PEAK_MIN_EVENTS, Slot
from pmp_schema.features.catalogue import ACTIVE, Feature
from pmp_schema.features.scope import Scope, open_from
from pmp_schema.sql import full_name, placeholders, render
from pmp_schema.timestamps import duration_micros


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter; `type` is a name of BigQuery's API, and a tuple is an array of that type."""

    name: str
    type: str
    value: datetime | date | tuple[date, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTables:
    """Full names (`project.dataset.table`) of the tables."""

    raw_events: str
    station_daily_counts: str
    station_features: str

    @classmethod
    def of(cls, project: str, *, raw_events: str | None = None, station_features: str | None = None) -> Self:
        """The tables of the topology in a project, unless overridden."""
        return cls(
            raw_events=raw_events or full_name("raw_events", project),
            station_daily_counts=full_name("station_daily_counts", project),
            station_features=station_features or full_name("station_features", project),
        )


def closed_through(tables: FeatureTables, *, before: date) -> Statement:
    """One row, `closed_through`: the last ingest date before some date in the daily counts, or NULL."""
    sql = _fill("closed_through", station_daily_counts=tables.station_daily_counts)
    return Statement(sql, (Parameter("before", "DATE", before),))


def open_dates(
    tables: FeatureTables, *, before: date, closed_through: date | None, known_at: datetime
) -> Statement:
    """Rows `event_date`: partitions before some date with rows that were ingested after `closed_through`."""
    return Statement(
        _fill("open_dates", raw_events=tables.raw_events),
        (
            Parameter("before", "DATE", before),
            Parameter("open_from", "DATE", open_from(closed_through)),
            Parameter("known_at", "TIMESTAMP", known_at),
        ),
    )


def feature_rows(tables: FeatureTables, features: Sequence[Feature], scope: Scope) -> Statement:
    """The rows of station_features: city_id, station_id, feature_name, window_len, value, as_of, event_date."""
    sql = _fill(
        "feature_rows",
        raw_events=tables.raw_events,
        station_daily_counts=tables.station_daily_counts,
        active_us=duration_micros(ACTIVE),
        columns=",\n    ".join(f"{_expression(feature)} AS {feature.column}" for feature in features),
        values=",\n  ".join(_value(feature) for feature in features),
    )
    return Statement(
        sql,
        (
            Parameter("as_of", "TIMESTAMP", scope.as_of),
            Parameter("known_at", "TIMESTAMP", scope.known_at),
            Parameter("first_date", "DATE", scope.first_date),
            Parameter("open_from", "DATE", scope.open_from),
            Parameter("late_dates", "DATE", scope.late_dates),
        ),
    )


def stage_features(rows: Statement, *, staging: str) -> Statement:
    """Stores the rows of a `feature_rows` statement in the staging table of a run, which expires after a day."""
    return Statement(_fill("stage_features", staging=staging, feature_rows=rows.sql), rows.parameters)


def merge_station_features(tables: FeatureTables, *, staging: str, as_of: datetime) -> Statement:
    """Replaces the rows of an as_of by those of a staging table with the same columns.

    Two merges at once may insert both sets of rows: see `count_station_features`.
    """
    sql = _fill("merge_station_features", station_features=tables.station_features, staging=staging)
    return Statement(sql, (Parameter("as_of", "TIMESTAMP", as_of),))


def count_station_features(tables: FeatureTables, *, as_of: datetime) -> Statement:
    """One row, `row_count`: the rows of an as_of. More than were staged means that two merges ran at once.

    BigQuery does not serialize merges that delete nothing
    (https://cloud.google.com/bigquery/docs/data-manipulation-language#dml_statement_conflicts). The one that ends last
    finds both sets and merges again. This merge deletes rows, so BigQuery runs only one at a time.
    """
    sql = _fill("count_station_features", station_features=tables.station_features)
    return Statement(sql, (Parameter("as_of", "TIMESTAMP", as_of),))


def merge_daily_counts(
    tables: FeatureTables, *, closed_through: date | None, through: date, event_dates: Sequence[date]
) -> Statement:
    """Adds the ingest dates after `closed_through` up to `through` to station_daily_counts.

    Args:
        closed_through: read from the table, because no date may be left out.
        through: at most `last_closed_date(now)`.
        event_dates: the partitions with rows ingested on these dates.
    """
    sql = _fill(
        "merge_daily_counts",
        raw_events=tables.raw_events,
        station_daily_counts=tables.station_daily_counts,
    )
    return Statement(sql, _closing(closed_through, through, event_dates))


def doubled_daily_counts(
    tables: FeatureTables, *, closed_through: date | None, through: date, event_dates: Sequence[date]
) -> Statement:
    """One row if two merges of these dates ran at once (see `count_station_features`)."""
    sql = _fill("doubled_daily_counts", station_daily_counts=tables.station_daily_counts)
    return Statement(sql, _closing(closed_through, through, event_dates))


def _closing(
    closed_through: date | None, through: date, event_dates: Sequence[date]
) -> tuple[Parameter, ...]:
    return (
        Parameter("event_dates", "DATE", tuple(event_dates)),
        Parameter("open_from", "DATE", open_from(closed_through)),
        Parameter("through", "DATE", through),
    )


def _expression(feature: Feature) -> str:
    reach = feature.reach
    values = {
        "of_kind": "TRUE" if feature.kind == "any" else f"kind = '{feature.kind}'",
        "in_current": _inside(reach.current),
        "in_baseline": _inside(reach.baseline),
        "baseline_slots": len(reach.baseline),
        "large_delta": LARGE_DELTA,
        "peak_min_events": PEAK_MIN_EVENTS,
    }
    path = f"sql/aggregations/{feature.aggregation.name}.sql"
    used = {name: values[name] for name in placeholders(__package__, path)}
    return render(__package__, path, **used).replace("\n", "\n    ").rstrip()


def _inside(slots: Sequence[Slot]) -> str:
    one = (
        f"age_us >= {duration_micros(slot.newer)} AND age_us < {duration_micros(slot.older)}"
        for slot in slots
    )
    return f"({' OR '.join(one)})"


def _value(feature: Feature) -> str:
    return (
        f"STRUCT('{feature.name}' AS feature_name, '{feature.window}' AS window_len,"
        f" CAST({feature.column} AS FLOAT64) AS value)"
    )


def _fill(name: str, /, **values: object) -> str:
    return render(__package__, f"sql/{name}.sql", **values)
