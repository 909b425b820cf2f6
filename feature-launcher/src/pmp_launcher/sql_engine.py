"""The SQL engine: one script per run."""

import re
from datetime import UTC, date, datetime
from typing import Final

from pmp_schema.features import (
    FeatureTables,
    Statement,
    StatementRunner,
    catalogue,
    close_days,
    count_station_features,
    feature_rows,
    last_closed_date,
    merge_station_features,
    read_scope,
    stage_features,
)
from pmp_schema.sql import render

_PARAMETER: Final = re.compile(r"(?<!@)@(\w+)")
WRITTEN: Final = "written"
"""Column of the script's only row: how many rows the run has written."""


def script(
    warehouse: StatementRunner,
    tables: FeatureTables,
    *,
    as_of: datetime,
    known_at: datetime,
    attempt_id: str,
    now: datetime,
) -> Statement:
    """What computes and writes the rows of a run; closes the days that are over before.

    Args:
        attempt_id: names the staging table.
    """
    close_days(warehouse, tables, through=last_closed_date(now))
    scope = read_scope(warehouse, tables, catalogue(), as_of=as_of, known_at=known_at)
    staging = staging_table(tables, attempt_id)
    stage = stage_features(feature_rows(tables, catalogue(), scope), staging=staging)
    return Statement(
        render(
            __package__,
            "sql/run.sql",
            staging=staging,
            stage=_bound(stage),
            merge=_bound(merge_station_features(tables, staging=staging, as_of=as_of)),
            count=_bound(count_station_features(tables, as_of=as_of)),
        )
    )


def staging_table(tables: FeatureTables, attempt_id: str) -> str:
    """An attempt's own table, beside the features, `project.dataset.table`."""
    return f"{tables.station_features}_{attempt_id.replace('-', '_')}"


def _bound(statement: Statement) -> str:
    """The text with its values as literals, which are times only: the emulator (1.4) binds none in a script."""
    values = {one.name: _literal(one.value) for one in statement.parameters}
    return _PARAMETER.sub(lambda match: values[match[1]], statement.sql).strip()


def _literal(value: datetime | date | tuple[date, ...]) -> str:
    if isinstance(value, tuple):
        return f"ARRAY<DATE>[{', '.join(map(_literal, value))}]"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC).isoformat(sep=' ')}'"
    return f"DATE '{value.isoformat()}'"
