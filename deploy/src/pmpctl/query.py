"""`pmpctl query`: one statement, its rows as a table."""

from typing import Any, Final

from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery
from requests import RequestException
from rich.table import Table

from pmpctl.changes import RETRY
from pmpctl.errors import CommandError

TIMEOUT_S: Final = 120.0


def rows(client: bigquery.Client, sql: str) -> list[dict[str, Any]]:
    """Runs a statement.

    Raises:
        CommandError: it is wrong, or BigQuery does not answer.
    """
    try:
        job = client.query(sql, timeout=TIMEOUT_S, retry=RETRY, job_retry=None)
        return [dict(row) for row in job.result(timeout=TIMEOUT_S, retry=RETRY, job_retry=None)]
    except (GoogleAPIError, RequestException) as error:
        message = getattr(error, "message", "") or str(error)
        raise CommandError(f"BigQuery: {message}") from error


def as_table(found: list[dict[str, Any]]) -> Table:
    table = Table(*(found[0] if found else ()))
    for row in found:
        table.add_row(*(_text(value) for value in row.values()))
    return table


def _text(value: object) -> str:
    """Bytes (the data of dead letters) are shown as text where they are text."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
