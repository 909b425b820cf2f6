"""Statements of BigQuery SQL, bounded in time; a failure is one line for the person at the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.cloud import bigquery

from pmp_runtime.bigquery.queries import FAILURES, transient
from pmpctl.errors import CommandError, one_line

Parameter = bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter


def rows(client: bigquery.Client, sql: str, *parameters: Parameter, timeout_s: float) -> list[dict[str, Any]]:
    """Runs a statement.

    Args:
        timeout_s: seconds for one call, retries included; a query is at least two calls.

    Raises:
        CommandError: it is wrong, or BigQuery does not answer.
    """
    config = bigquery.QueryJobConfig(query_parameters=list(parameters), use_query_cache=False)
    again = transient(timeout_s)
    with readable_failures():
        job = client.query(sql, job_config=config, timeout=timeout_s, retry=again, job_retry=None)
        return [dict(row) for row in job.result(timeout=timeout_s, retry=again, job_retry=None)]


@contextmanager
def readable_failures(service: str = "BigQuery") -> Iterator[None]:
    """Makes what Google's clients raise one line.

    Raises:
        CommandError: what the service said, or why it said nothing.
    """
    try:
        yield
    except FAILURES as error:
        raise CommandError(f"{service}: {one_line(getattr(error, 'message', '') or error)}") from error
