"""The SQL engine in BigQuery: the work of an attempt is one job, a script."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from google.cloud import bigquery

from pmp_launcher.cloud.executor import Progress
from pmp_launcher.cloud.jobs import Jobs
from pmp_launcher.feature_run import Run
from pmp_launcher.sql_engine import script
from pmp_schema.features import FeatureTables, StatementRunner
from pmp_schema.features.runs import Status

_LONGEST_ERROR: Final = 500


class SqlWork:
    """See `Work`.

    Args:
        warehouse: answers what the script needs to know before.
        now: aware UTC clock.
    """

    name = "sql"

    def __init__(
        self, jobs: Jobs, warehouse: StatementRunner, tables: FeatureTables, now: Callable[[], datetime]
    ) -> None:
        self._jobs = jobs
        self._warehouse = warehouse
        self._tables = tables
        self._now = now

    def submit(self, run: Run, *, deadline_s: float) -> None:
        statement = script(
            self._warehouse,
            self._tables,
            as_of=run.wanted.as_of,
            known_at=run.wanted.known_at,
            attempt_id=run.attempt_id,
            now=self._now(),
        )
        self._jobs.insert(_job_id(run), statement, deadline_s=deadline_s)

    def progress(self, run: Run) -> Progress | None:
        job = self._jobs.get(_job_id(run))
        if job is None:
            return None
        if job.state != "DONE":
            status = Status.STARTED if job.started else Status.REQUESTED
            return Progress(status=status, started_at=job.started)
        if job.error_result:
            return Progress(
                status=Status.FAILED, started_at=job.started, finished_at=job.ended, error=_error(job)
            )
        return Progress(
            status=Status.SUCCEEDED,
            started_at=job.started,
            finished_at=job.ended,
            rows=self._jobs.value(job),
        )

    def cancel(self, run: Run) -> None:
        self._jobs.cancel(_job_id(run))


def _job_id(run: Run) -> str:
    return f"{run.attempt_id}-work"


def _error(job: bigquery.QueryJob) -> str:
    return f"{job.error_result.get('reason')}: {job.error_result.get('message')}"[:_LONGEST_ERROR]
