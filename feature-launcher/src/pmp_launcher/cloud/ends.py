"""Ends of attempts as they were told, for work that is no longer known where it was done."""

from datetime import UTC

from pmp_launcher.cloud.executor import Progress
from pmp_launcher.feature_run import Run
from pmp_runtime.bigquery.queries import Queries
from pmp_schema.features.runs import Status


class ToldEnds:
    """See `Ends`; reads the events of which pmp_ops.feature_runs is made, because the view knows no attempts."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def __call__(self, run: Run) -> Progress | None:
        told = self._queries.rows(
            "told_end",
            attempt_id=("STRING", run.attempt_id),
            requested_at=("TIMESTAMP", run.requested_at),
        )
        for row in told:
            return Progress(
                status=Status(row["status"]),
                finished_at=row["time"].astimezone(UTC),
                rows=row["written"],
                error=row["error"],
            )
        return None
