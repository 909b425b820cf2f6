"""The features' statements as query jobs, and what may be tried again (extra `query`)."""

import logging
from typing import Any, Final

from google.api_core import exceptions
from google.cloud import bigquery

from pmp_runtime.bigquery.queries import transient
from pmp_runtime.retry import retrying
from pmp_schema.features import Parameter, Statement

logger = logging.getLogger(__name__)

# Two statements changed the same rows at once; one of them took effect and the other none.
# https://cloud.google.com/bigquery/docs/transactions#concurrency
# Or more than 20 wait for the same table, and this one was not taken:
# https://cloud.google.com/bigquery/docs/data-manipulation-language#dml-limitations
CONFLICTS: Final = ("Could not serialize access", "concurrent update", "Too many DML statements outstanding")


def run_statement(
    client: bigquery.Client, statement: Statement, *, call_s: float, statement_s: float, conflicts_s: float
) -> list[dict[str, Any]]:
    """The rows of a statement, none for DML. One that loses against a concurrent one is run again.

    Args:
        call_s: seconds for one call, retries included.
        statement_s: seconds for the statement to end.
        conflicts_s: seconds, beside those of one statement, after which a conflict is the end; pauses are random.

    Raises:
        google.api_core.exceptions.RetryError: nothing but conflicts; its cause is the last.
    """
    calls = transient(call_s)

    def run() -> list[dict[str, Any]]:
        job = client.query(statement.sql, job_config(statement), timeout=call_s, retry=calls, job_retry=None)
        return [dict(row) for row in job.result(timeout=statement_s, retry=calls, job_retry=None)]

    again = retrying(statement_s + conflicts_s, is_conflict, longest_pause_s=20.0, on_error=_log_conflict)
    rows: list[dict[str, Any]] = again(run)()
    return rows


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
