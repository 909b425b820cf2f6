"""`pmpctl features export`: the wide rows of some times in one file, each with what its run may know."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final

from pmp_schema.timestamps import format_timestamp
from pmpctl.errors import CommandError
from pmpctl.features.files import Format, WritePage, new_file, open_rows
from pmpctl.features.times import KnownAt

PAGE_ROWS: Final = 5_000
_KEY: Final = ("city_id", "station_id", "as_of")
_NAMED: Final = 5

Rows = Iterator[Mapping[str, Any]]
Filled = Mapping[datetime, datetime]
"""The times that have rows, with the latest `known_at` of those rows."""


def export(
    times: Sequence[datetime],
    *,
    read_filled: Callable[[], Filled],
    read_rows: Callable[[date, Sequence[datetime]], Rows],
    known_at: KnownAt,
    kind: Format,
    path: Path,
    show: Callable[[int, int], None],
) -> int:
    """Writes the rows of all times or of none, sorted by time, city and station.

    Args:
        times: in order.
        read_filled: called before and after the rows are read: a run in between may have changed them.
        read_rows: the rows of some times of one date; BigQuery reads each partition once.
        known_at: the latest time that the rows may know.
        show: called with the numbers of times and rows so far.

    Returns:
        The number of rows.

    Raises:
        CommandError: a time has no rows or rows that may know more, or the file cannot be written.
        BigQueryUnavailable: BigQuery does not answer.
    """
    known = _only(times, read_filled())
    check(times, known, known_at)
    count = done = 0
    write: WritePage | None = None
    with new_file(path) as part, ExitStack() as stack:
        for day, of_day in groupby(times, key=datetime.date):
            today = list(of_day)
            rows = read_rows(day, today)
            done += len(today)
            while page := [_with_known_at(row, known) for row in islice(rows, PAGE_ROWS)]:
                if write is None:
                    write = stack.enter_context(open_rows(part, kind, list(page[0])))
                write(page)
                count += len(page)
                show(done, count)
        stack.close()
        if write is None:
            raise CommandError("the feature runs of these times wrote no rows")
        if _only(times, read_filled()) != known:
            raise CommandError("a feature run of these times ended during the export: export again")
    return count


def check(times: Sequence[datetime], known: Filled, known_at: KnownAt) -> None:
    """Checks that all times have rows, and that no row may know more than is allowed.

    Raises:
        CommandError: names the first times for which this is not so.
    """
    absent = [format_timestamp(as_of) for as_of in times if as_of not in known]
    if absent:
        raise CommandError(
            f"no feature run has succeeded for {_some(absent)}; `pmpctl features backfill` computes them"
        )
    later = [
        f"{format_timestamp(as_of)} (known at {format_timestamp(known[as_of])})"
        for as_of in times
        if not known_at.allows(as_of, known[as_of])
    ]
    if later:
        raise CommandError(f"rows may know more than --known-at or --known-at-delay allow: {_some(later)}")


def _with_known_at(row: Mapping[str, Any], known: Filled) -> dict[str, Any]:
    key = {name: row[name] for name in _KEY}
    return {**key, "known_at": known[row["as_of"]], **row}


def _only(times: Sequence[datetime], filled: Filled) -> dict[datetime, datetime]:
    return {as_of: filled[as_of] for as_of in times if as_of in filled}


def _some(named: Sequence[str]) -> str:
    more = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more
