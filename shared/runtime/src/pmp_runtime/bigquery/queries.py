"""Questions to BigQuery from `.sql` files, bounded in time."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.api_core import exceptions, retry
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from requests import RequestException

from pmp_runtime.retry import is_transient, retrying
from pmp_schema.errors import RetryableError
from pmp_schema.sql import full_name, render_query

PAGE_ROWS: Final = 100  # of up to 10 MB each
PING_TIMEOUT_S: Final = 2.0
RESULT_SHARE: Final = 0.25  # of the time, for one job's result: the rest is for a job in its place
FAILURES: Final = (
    exceptions.GoogleAPICallError,
    exceptions.RetryError,
    GoogleAuthError,
    RequestException,
    TimeoutError,
)
_ONCE: Final = retry.Retry(predicate=retry.if_exception_type())
# Told with any status, a rate limit with 403: https://cloud.google.com/bigquery/docs/error-messages. The reasons are
# those of google.cloud.bigquery.retry, which has no public name for them.
_TRANSIENT_REASONS: Final = frozenset({"backendError", "badGateway", "internalError", "rateLimitExceeded"})
_JOB_REASONS: Final = frozenset({"jobBackendError", "jobInternalError", "jobRateLimitExceeded"})


class BigQueryUnavailable(RetryableError):
    """BigQuery does not answer, or not with what was asked for."""


def query_client(project: str, emulator: str | None) -> bigquery.Client:
    """A client of BigQuery, or of the emulator at `http://host:port`.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: no emulator is given and there are no credentials.
    """
    if emulator is None:
        return bigquery.Client(project)
    return bigquery.Client(
        project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options=ClientOptions(api_endpoint=emulator),
    )


def transient(timeout_s: float) -> retry.Retry:
    """Retries calls after transient failures; BigQuery also names them by a reason."""
    return retrying(timeout_s, _is_transient)


def _restarting(timeout_s: float) -> retry.Retry:
    """Runs a query again after a transient failure of its job; polling a failed job cannot succeed.

    The client reports a failed job as a failed call, with any status (googleapis/python-bigquery#1903), so the call is
    retried first.
    """

    def again(error: Exception) -> bool:
        if isinstance(error, exceptions.RetryError) and isinstance(error.cause, Exception):
            error = error.cause
        return _is_transient(error) or _reason(error) in _JOB_REASONS

    return retrying(timeout_s, again)


def _is_transient(error: Exception) -> bool:
    return is_transient(error) or _reason(error) in _TRANSIENT_REASONS


def _reason(error: Exception) -> str | None:
    """BigQuery's own word for what went wrong; None where it said none."""
    told = getattr(error, "errors", None)
    return told[0].get("reason") if told and isinstance(told[0], dict) else None


class Queries:
    """The `sql/*.sql` files of one package.

    Args:
        package: that holds the folder `sql`.
        timeout_s: seconds for one call, retries included; a query is at least two calls.
    """

    def __init__(self, client: bigquery.Client, package: str, *, timeout_s: float) -> None:
        self._client = client
        self._package = package
        self._timeout_s = timeout_s
        self._retry = transient(timeout_s)
        self._restart = _restarting(timeout_s)

    def rows(
        self, name: str, *, page_rows: int = PAGE_ROWS, **parameters: tuple[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """The rows of `sql/<name>.sql`; the first of them is waited for when it is taken.

        Args:
            page_rows: fetched at a time.
            parameters: type and value by name; a list is an array of that type.

        Raises:
            BigQueryUnavailable: it does not answer, or a table or view is not there.
        """
        config = bigquery.QueryJobConfig(
            query_parameters=[
                bigquery.ArrayQueryParameter(parameter, kind, value)
                if isinstance(value, list)
                else bigquery.ScalarQueryParameter(parameter, kind, value)
                for parameter, (kind, value) in parameters.items()
            ],
            use_query_cache=False,
        )
        try:
            job = self._client.query(
                render_query(self._package, name, self._client.project),
                job_config=config,
                timeout=self._timeout_s,
                retry=self._retry,
                job_retry=None,
            )
            yield from job.result(
                page_size=page_rows,
                timeout=self._timeout_s,
                retry=transient(self._timeout_s * RESULT_SHARE),
                job_retry=self._restart,
            )
        except exceptions.NotFound as error:
            raise BigQueryUnavailable(
                f"BigQuery: {name}: a table or view is not there; run `pmpctl tables apply`"
            ) from error
        except FAILURES as error:
            raise BigQueryUnavailable(f"BigQuery: {name}: {_cause(error)}") from error

    def ping(self, table: str) -> None:
        """Asks for a table; a refusal of permission is an answer too.

        Raises:
            BigQueryUnavailable: it does not answer, or the table is not there.
        """
        try:
            name = full_name(table, self._client.project)
            self._client.get_table(name, timeout=PING_TIMEOUT_S, retry=_ONCE)
        except exceptions.Forbidden:
            return
        except FAILURES as error:
            raise BigQueryUnavailable(f"BigQuery: {table}: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    """What went wrong, also where it went wrong until the time for retries was over."""
    cause = (error.cause if isinstance(error, exceptions.RetryError) else None) or error
    said = str(getattr(cause, "message", "")).strip().splitlines()
    return f"{type(cause).__name__}: {said[0]}" if said else type(cause).__name__
