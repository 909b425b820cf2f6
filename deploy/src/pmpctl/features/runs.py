"""What the feature runs of a range of times have told: which times have rows, and what those rows may know."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pmp_runtime.bigquery.queries import Queries

PAGE_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One run, as pmp_ops.feature_runs has it."""

    as_of: datetime
    known_at: datetime
    engine: str
    has_succeeded: bool


def read_runs(queries: Queries, times: Sequence[datetime]) -> list[Told]:
    """The runs from the first of some times to the last.

    Raises:
        BigQueryUnavailable: it does not answer.
    """
    bounds: dict[str, tuple[str, Any]] = {
        "first": ("TIMESTAMP", min(times)),
        "last": ("TIMESTAMP", max(times)),
    }
    return [Told(**row) for row in queries.rows("feature_runs_between", page_rows=PAGE_ROWS, **bounds)]


def filled(runs: Iterable[Told], engine: str | None = None) -> dict[datetime, datetime]:
    """The times for which a run has succeeded, with the latest `known_at` of any run for them.

    Two engines, and two attempts of one, write the same rows of station_features. Which of them was last is not told,
    nor whether one that failed had written before; so the latest counts.

    Args:
        engine: whose success is asked for; any one's where it is not given.
    """
    known: dict[datetime, datetime] = {}
    done = set()
    for run in runs:
        known[run.as_of] = max(run.known_at, known.get(run.as_of, run.known_at))
        if run.has_succeeded and engine in {None, run.engine}:
            done.add(run.as_of)
    return {as_of: known_at for as_of, known_at in sorted(known.items()) if as_of in done}
