"""The features' statements on BigQuery."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.api_core import exceptions
from google.cloud import bigquery

from pmp_runtime.bigquery.queries import FAILURES, BigQueryUnavailable
from pmp_runtime.bigquery.statements import run_statement
from pmp_schema.features import Statement

CONFLICTS_S: Final = 60.0  # whoever asked for the run may be waiting


class BigQueryWarehouse:
    """A `pmp_schema.features.StatementRunner`.

    Args:
        timeout_s: seconds for one call, retries included.
        statement_s: seconds for one statement.
    """

    def __init__(self, client: bigquery.Client, *, timeout_s: float, statement_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._statement_s = statement_s

    def query(self, statement: Statement) -> Sequence[Mapping[str, Any]]:
        """Raises:
        BigQueryUnavailable: the statement did not succeed, a conflict with another one's changes after some attempts.
        """
        try:
            return run_statement(
                self._client,
                statement,
                call_s=self._timeout_s,
                statement_s=self._statement_s,
                conflicts_s=CONFLICTS_S,
            )
        except FAILURES as error:
            raise BigQueryUnavailable(f"BigQuery: {_told(error)}") from error


def _told(error: BaseException) -> str:
    """What a person can mend, in BigQuery's words; of the rest the kind."""
    if isinstance(error, exceptions.RetryError) and error.cause is not None:
        error = error.cause
    return f"{error.message:.300}" if isinstance(error, exceptions.BadRequest) else type(error).__name__
