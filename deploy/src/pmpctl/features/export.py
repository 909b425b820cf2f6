"""`pmpctl features export`: the wide rows of some times as one file that says what each row may know."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from google.cloud import bigquery

from pmp_runtime.bigquery.queries import transient
from pmp_schema.sql import render_query
from pmp_schema.timestamps import format_timestamp
from pmpctl.errors import CommandError
from pmpctl.features.files import Column, Format, Page, RowFile, new_file, open_rows
from pmpctl.features.times import KnownAt
from pmpctl.google_errors import readable_failures

CALL_TIMEOUT_S: Final = 60.0
QUERY_TIMEOUT_S: Final = 600.0
PAGE_ROWS: Final = 5_000
KEY: Final = 3
"""city_id, station_id, as_of: the first columns of a row; `known_at` comes after them."""
_NAMED: Final = 5

Day = tuple[Sequence[Column], Iterator[Page]]
Filled = Mapping[datetime, datetime]
"""The times that have rows, with the latest `known_at` that those may have."""


class TrainingRows:
    """The rows of station_features_wide, a day at a time: BigQuery reads each partition once."""

    def __init__(self, client: bigquery.Client) -> None:
        self._client = client

    def read(self, day: date, times: Sequence[datetime]) -> Day:
        """Columns and pages of rows, which are fetched as they are taken.

        Raises:
            CommandError: BigQuery does not answer; also while pages are taken.
        """
        config = bigquery.QueryJobConfig(
            query_parameters=[
                bigquery.ScalarQueryParameter("event_date", "DATE", day),
                bigquery.ArrayQueryParameter("times", "TIMESTAMP", list(times)),
            ],
            use_query_cache=False,
        )
        sql = render_query("pmpctl.features", "training_rows", self._client.project)
        again = transient(CALL_TIMEOUT_S)
        with readable_failures():
            job = self._client.query(
                sql, job_config=config, timeout=CALL_TIMEOUT_S, retry=again, job_retry=None
            )
            found = job.result(page_size=PAGE_ROWS, timeout=QUERY_TIMEOUT_S, retry=again, job_retry=None)
        return [Column(one.name, one.field_type) for one in found.schema], _pages(found)


def _pages(found: Any) -> Iterator[Page]:
    pages = iter(found.pages)
    while True:
        with readable_failures():
            page = next(pages, None)
            rows = None if page is None else [row.values() for row in page]
        if rows is None:
            return
        yield rows


def export(
    times: Sequence[datetime],
    *,
    read_filled: Callable[[], Filled],
    read_rows: Callable[[date, Sequence[datetime]], Day],
    known_at: KnownAt,
    kind: Format,
    path: Path,
    tell: Callable[[int, int], None],
) -> int:
    """Writes the rows of some times, all of them or none, sorted by time, city and station.

    Args:
        times: in order.
        read_filled: is asked before the rows are read and after: a run in between might have changed them.
        read_rows: of one date.
        known_at: what the rows may know at most.
        tell: takes how many times and rows are done.

    Returns:
        How many rows there are.

    Raises:
        CommandError: some of the times have no rows or ones that may know more, or something does not answer.
    """
    known = _of(times, read_filled())
    check(times, known, known_at)
    rows = done = 0
    with new_file(path) as part, ExitStack() as stack:
        file: RowFile | None = None
        for day, of_day in groupby(times, key=datetime.date):
            today = list(of_day)
            columns, pages = read_rows(day, today)
            if file is None:
                shown = [*columns[:KEY], Column("known_at", "TIMESTAMP"), *columns[KEY:]]
                file = stack.enter_context(open_rows(part, kind, shown))
            for page in pages:
                file.write([(*row[:KEY], known[row[KEY - 1]], *row[KEY:]) for row in page])
                rows += len(page)
                tell(done, rows)
            done += len(today)
            tell(done, rows)
        stack.close()
        if _of(times, read_filled()) != known:
            raise CommandError("another run of these times was told meanwhile: export again")
    return rows


def check(times: Sequence[datetime], known: Filled, known_at: KnownAt) -> None:
    """That there are rows for all times, and that none of them may know more than is asked for.

    Raises:
        CommandError: names the first ones of those that are not so.
    """
    absent = [format_timestamp(as_of) for as_of in times if as_of not in known]
    if absent:
        raise CommandError(f"no run has succeeded for {_some(absent)}; `pmpctl features backfill` fills them")
    later = [
        f"{format_timestamp(as_of)} (known at {format_timestamp(known[as_of])})"
        for as_of in times
        if not known_at.allows(as_of, known[as_of])
    ]
    if later:
        raise CommandError(f"rows may know more than is asked for: {_some(later)}")


def _of(times: Sequence[datetime], filled: Filled) -> dict[datetime, datetime]:
    return {as_of: filled[as_of] for as_of in times if as_of in filled}


def _some(named: Sequence[str]) -> str:
    more = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more
