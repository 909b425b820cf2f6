"""What a feature run queries first: how far the daily counts are, and which partitions it must read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol

from pmp_schema.features import statements
from pmp_schema.features.catalogue import Feature, look_back
from pmp_schema.features.scope import ONE_DAY, Scope, end_of, open_from
from pmp_schema.features.statements import FeatureTables, Statement


class StatementRunner(Protocol):
    """Runs a statement to its end and returns its rows by column name; an empty sequence for DML."""

    def query(self, statement: Statement) -> Sequence[Mapping[str, Any]]: ...


def read_scope(
    runner: StatementRunner,
    tables: FeatureTables,
    features: Sequence[Feature],
    *,
    as_of: datetime,
    known_at: datetime,
) -> Scope:
    """What the run for (as_of, known_at) reads. Its rows do not depend on how far the daily counts are."""
    closed = _closed_through(runner, tables, before=known_at.astimezone(UTC).date())
    first_date = (as_of.astimezone(UTC) - look_back(features)).date()
    late = statements.open_dates(tables, before=first_date, closed_through=closed, known_at=known_at)
    return Scope(
        as_of=as_of,
        known_at=known_at,
        first_date=first_date,
        open_from=open_from(closed),
        late_dates=_dates(runner, late),
    )


def close_days(runner: StatementRunner, tables: FeatureTables, *, through: date) -> tuple[date, ...]:
    """Brings station_daily_counts up to an ingest date, at most `last_closed_date(now)`.

    It can be repeated, because the counts of a day never change. Two calls at once may insert the counts twice, with
    the same numbers; the one that ends last removes the duplicates. They stay only if that one is killed.

    Returns:
        The event dates whose counts were written.
    """
    closed = _closed_through(runner, tables, before=through + ONE_DAY)
    if closed == through:
        return ()
    opened = statements.open_dates(tables, before=date.max, closed_through=closed, known_at=end_of(through))
    event_dates = _dates(runner, opened)
    if event_dates:
        merge = statements.merge_daily_counts(
            tables, closed_through=closed, through=through, event_dates=event_dates
        )
        doubled = statements.doubled_daily_counts(
            tables, closed_through=closed, through=through, event_dates=event_dates
        )
        runner.query(merge)
        if runner.query(doubled):
            runner.query(merge)
    return event_dates


def _closed_through(runner: StatementRunner, tables: FeatureTables, *, before: date) -> date | None:
    [row] = runner.query(statements.closed_through(tables, before=before))
    closed: date | None = row["closed_through"]
    return closed


def _dates(runner: StatementRunner, statement: Statement) -> tuple[date, ...]:
    return tuple(row["event_date"] for row in runner.query(statement))
