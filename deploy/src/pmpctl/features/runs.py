"""The feature runs that `pmp_ops.feature_runs` lists for a range of times."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pmp_runtime.bigquery.queries import Queries

PAGE_ROWS: Final = 10_000


def read_filled(queries: Queries, times: Sequence[datetime], engine: str | None) -> dict[datetime, datetime]:
    """Those of some times that have rows; see `filled`.

    Raises:
        BigQueryUnavailable: BigQuery does not answer.
    """
    bounds: dict[str, tuple[str, Any]] = {
        "first": ("TIMESTAMP", min(times)),
        "last": ("TIMESTAMP", max(times)),
    }
    wanted = set(times)
    runs = queries.rows("feature_runs_between", page_rows=PAGE_ROWS, **bounds)
    return filled((run for run in runs if run["as_of"] in wanted), engine)


def filled(runs: Iterable[Mapping[str, Any]], engine: str | None) -> dict[datetime, datetime]:
    """The times for which a feature run has succeeded, with the latest `known_at` of any run for them.

    All runs for a time write the same rows of station_features, whatever their engine. The table does not say which
    run was last, or whether a failed one had written before; so the latest `known_at` counts.

    Args:
        engine: whose success counts; None for any.
    """
    known: dict[datetime, datetime] = {}
    done = set()
    for run in runs:
        as_of, known_at = run["as_of"], run["known_at"]
        known[as_of] = max(known_at, known.get(as_of, known_at))
        if run["has_succeeded"] and engine in {None, run["engine"]}:
            done.add(as_of)
    return {as_of: known_at for as_of, known_at in sorted(known.items()) if as_of in done}
