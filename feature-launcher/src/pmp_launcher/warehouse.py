"""The features' statements on BigQuery."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from google.api_core import exceptions
from google.cloud import bigquery

from pmp_schema.bigquery.queries import FAILURES, BigQueryUnavailable, transient
from pmp_schema.bigquery.statements import is_conflict, job_config
from pmp_schema.features import Statement

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 5


class BigQueryWarehouse:
    """A `pmp_schema.features.Warehouse`.

    Args:
        timeout_s: seconds for one call, retries included.
        statement_s: seconds for one statement.
    """

    def __init__(
        self,
        client: bigquery.Client,
        *,
        timeout_s: float,
        statement_s: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._statement_s = statement_s
        self._sleep = sleep

    def query(self, statement: Statement) -> Sequence[Mapping[str, Any]]:
        """Raises:
        BigQueryUnavailable: the statement did not succeed, a conflict with another one's changes after some attempts.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._rows(statement)
            except FAILURES as error:
                if not is_conflict(error) or attempt == ATTEMPTS:
                    raise BigQueryUnavailable(f"BigQuery: {_told(error)}") from error
                logger.warning("statement.conflicted", extra={"attempt": attempt})
                self._sleep(2.0**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _rows(self, statement: Statement) -> list[dict[str, Any]]:
        again = transient(self._timeout_s)
        job = self._client.query(
            statement.sql, job_config(statement), timeout=self._timeout_s, retry=again, job_retry=None
        )
        return [dict(row) for row in job.result(timeout=self._statement_s, retry=again, job_retry=None)]


def _told(error: BaseException) -> str:
    """What a person can mend, in BigQuery's words; of the rest the kind."""
    return f"{error.message:.300}" if isinstance(error, exceptions.BadRequest) else type(error).__name__
