"""From a staging table to station_features: all rows of a run become visible at once, or none."""

from datetime import datetime
from typing import Final

from google.api_core import retry
from google.api_core.exceptions import RetryError

from pmp_runtime.retry import retrying
from pmp_schema.features import (
    FeatureTables,
    Parameter,
    Statement,
    StatementRunner,
    count_station_features,
    merge_station_features,
)
from pmp_schema.sql import render
from pmp_schema.timestamps import format_timestamp

_VISIBLE_WITHIN_S: Final = 60.0
_MERGES: Final = 2


class StagingIncompleteError(RuntimeError):
    """The staging table does not show all rows that were written."""


class EmptyRunError(RuntimeError):
    """The run has no rows, but its as_of has some already."""


class ContestedRunError(RuntimeError):
    """Another attempt has merged rows of the same as_of each time that this one did, and its rows are there too."""


def merge_staged(
    warehouse: StatementRunner,
    tables: FeatureTables,
    *,
    staging: str,
    as_of: datetime,
    written: int,
) -> int:
    """Makes the staged rows those of their as_of; may be repeated.

    Args:
        written: rows that must be there.

    Returns:
        The rows of the as_of.

    Raises:
        StagingIncompleteError: after a minute there are fewer or more.
        EmptyRunError: there is none, and a complete set would be deleted.
        ContestedRunError: the rows of another attempt are there too, and would stay.
    """
    staged = staged_keys(warehouse, staging, as_of)
    if staged != written:
        staged = _await_rows(warehouse, staging, as_of, written)
    if staged:
        _merge(warehouse, tables, staging, as_of, staged)
    elif stored := _stored_rows(warehouse, tables, as_of):
        raise EmptyRunError(f"no rows, but {stored} are stored for {format_timestamp(as_of)}")
    return staged


def _merge(
    warehouse: StatementRunner, tables: FeatureTables, staging: str, as_of: datetime, staged: int
) -> None:
    merge = merge_station_features(tables, staging=staging, as_of=as_of)
    # More rows than were staged: another attempt's merge went side by side with this one, as merges do that delete
    # nothing. The second one finds both sets, and replaces them.
    for _ in range(_MERGES):
        warehouse.query(merge)
        if _stored_rows(warehouse, tables, as_of) <= staged:
            return
    raise ContestedRunError(f"another attempt goes on merging rows of {format_timestamp(as_of)}")


def staged_keys(warehouse: StatementRunner, staging: str, as_of: datetime) -> int:
    """Rows of an as_of in a staging table, without those that were appended twice."""
    sql = render(__package__, "sql/staged_keys.sql", staging=staging)
    statement = Statement(sql, (Parameter("as_of", "TIMESTAMP", as_of),))
    [row] = warehouse.query(statement)
    return int(row["key_count"])


def _stored_rows(warehouse: StatementRunner, tables: FeatureTables, as_of: datetime) -> int:
    [row] = warehouse.query(count_station_features(tables, as_of=as_of))
    return int(row["row_count"])


def _await_rows(warehouse: StatementRunner, staging: str, as_of: datetime, written: int) -> int:
    def look() -> int:
        staged = staged_keys(warehouse, staging, as_of)
        if staged != written:
            raise StagingIncompleteError(f"{staged} of {written} rows are staged")
        return staged

    incomplete = retry.if_exception_type(StagingIncompleteError)
    again = retrying(_VISIBLE_WITHIN_S, incomplete, longest_pause_s=5.0)
    try:
        return int(again(look)())
    except RetryError as error:
        raise StagingIncompleteError(str(error.cause)) from error
