"""The features' statements as query jobs, and what may be tried again (extra `query`)."""

import logging
from typing import Any, Final

from google.api_core import exceptions
from google.cloud import bigquery

from pmp_runtime.bigquery.queries import FAILURES, BigQueryUnavailable, transient
from pmp_runtime.retry import retrying
from pmp_schema.features import Parameter, Statement

logger = logging.getLogger(__name__)

# Two statements changed the same rows at once; one of them took effect and the other none.
# https://cloud.google.com/bigquery/docs/transactions#concurrency
# Or more than 20 wait for the same table, and this one was not taken:
# https://cloud.google.com/bigquery/docs/data-manipulation-language#dml-limitations
CONFLICTS: Final = ("Could not serialize access", "concurrent update", "Too many DML statements outstanding")


class BigQueryStatements:
    """A `pmp_schema.features.StatementRunner`. A statement that conflicts with a concurrent one is run again.

    Args:
        call_s: seconds for one call, retries included.
        statement_s: seconds for one statement.
        conflicts_s: seconds for conflicts, beside those of one statement.
    """

    def __init__(
        self, client: bigquery.Client, *, call_s: float, statement_s: float, conflicts_s: float = 60.0
    ) -> None:
        self.client = client
        self._call_s = call_s
        self._statement_s = statement_s
        self._calls = transient(call_s)
        self._again = retrying(
            statement_s + conflicts_s, is_conflict, longest_pause_s=20.0, on_error=_log_conflict
        )

    def query(self, statement: Statement) -> list[dict[str, Any]]:
        """The rows of a statement, none for DML.

        Raises:
            BigQueryUnavailable: it did not succeed, or conflicted until the time was over.
        """
        try:
            rows: list[dict[str, Any]] = self._again(self._run)(statement)
        except FAILURES as error:
            raise BigQueryUnavailable(f"BigQuery: {_readable(error)}") from error
        return rows

    def _run(self, statement: Statement) -> list[dict[str, Any]]:
        job = self.client.query(
            statement.sql, job_config(statement), timeout=self._call_s, retry=self._calls, job_retry=None
        )
        return [dict(row) for row in job.result(timeout=self._statement_s, retry=self._calls, job_retry=None)]


def job_config(statement: Statement) -> bigquery.QueryJobConfig:
    """A query job's configuration with a statement's parameters."""
    return bigquery.QueryJobConfig(
        query_parameters=[_parameter(one) for one in statement.parameters], use_query_cache=False
    )


def is_conflict(error: BaseException) -> bool:
    """Whether a statement has failed only because of another one at the same time."""
    refused = isinstance(error, exceptions.BadRequest | exceptions.Conflict | exceptions.Aborted)
    return refused and any(text in str(error) for text in CONFLICTS)


def _log_conflict(error: Exception) -> None:
    logger.warning("statement.conflicted", extra={"cause": type(error).__name__})


def _parameter(one: Parameter) -> Any:
    if isinstance(one.value, tuple):
        return bigquery.ArrayQueryParameter(one.name, one.type, list(one.value))
    return bigquery.ScalarQueryParameter(one.name, one.type, one.value)


def _readable(error: BaseException) -> str:
    """BigQuery's own words where a person can fix the statement; else the kind of error."""
    if isinstance(error, exceptions.RetryError) and error.cause is not None:
        error = error.cause
    if isinstance(error, exceptions.BadRequest | exceptions.NotFound):
        return " ".join(str(error.message or error).split())[:300]
    return type(error).__name__
