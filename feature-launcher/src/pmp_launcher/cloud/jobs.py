"""BigQuery jobs under ids of our own: an id that was used once can never be used again."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from google.api_core import exceptions
from google.cloud import bigquery

from pmp_runtime.bigquery.queries import FAILURES, BigQueryUnavailable, transient
from pmp_runtime.bigquery.statements import job_config
from pmp_schema.features import Statement

P = ParamSpec("P")
T = TypeVar("T")


def _bounded(call: Callable[P, T]) -> Callable[P, T]:
    @wraps(call)
    def bounded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except FAILURES as error:
            raise BigQueryUnavailable(f"BigQuery: {type(error).__name__}: {error!s:.300}") from error

    return bounded


class Jobs:
    """Query jobs of one project and location.

    Args:
        dataset: where it is, the jobs run; ids are unique within a location.
        timeout_s: seconds for one call, retries included.

    Every method raises BigQueryUnavailable where BigQuery does not do what it is asked for.
    """

    def __init__(self, client: bigquery.Client, dataset: str, *, timeout_s: float) -> None:
        self._client = client
        self._dataset = dataset
        self._timeout_s = timeout_s
        self._again = transient(timeout_s)
        self._location: str | None = None

    @_bounded
    def insert(
        self,
        job_id: str,
        statement: Statement,
        *,
        labels: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
    ) -> bool:
        """Starts a job; False where the id is taken, be it by an earlier attempt of this very call.

        Args:
            deadline_s: seconds after which BigQuery ends it.
        """
        config = job_config(statement)
        config.labels = dict(labels or {})
        if deadline_s is not None:
            config.job_timeout_ms = int(deadline_s * 1000)
        try:
            self._client.query(
                statement.sql,
                config,
                job_id=job_id,
                location=self._where(),
                timeout=self._timeout_s,
                retry=self._again,
                job_retry=None,
            )
        except exceptions.Conflict:
            return False
        return True

    @_bounded
    def get(self, job_id: str) -> bigquery.QueryJob | None:
        """The job as it is now; None where there is none of that id."""
        try:
            job = self._client.get_job(
                job_id, location=self._where(), timeout=self._timeout_s, retry=self._again
            )
            return cast("bigquery.QueryJob", job)  # ids of ours are of no other kind
        except exceptions.NotFound:
            return None

    @_bounded
    def value(self, job: bigquery.QueryJob) -> int:
        """The one value that a job, which is done, has as its result."""
        (row,) = job.result(timeout=self._timeout_s, retry=self._again, job_retry=None)
        return int(row[0])

    @_bounded
    def cancel(self, job_id: str) -> None:
        """Asks for the end of a job."""
        self._client.cancel_job(job_id, location=self._where(), timeout=self._timeout_s, retry=self._again)

    def _where(self) -> str:
        if self._location is None:
            dataset = self._client.get_dataset(self._dataset, timeout=self._timeout_s, retry=self._again)
            self._location = str(dataset.location)
        return self._location
