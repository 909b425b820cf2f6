"""The features' statements on BigQuery."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from google.api_core import exceptions, retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from requests import RequestException

from pmp_schema.bigquery.queries import BigQueryUnavailable
from pmp_schema.features import Parameter, Statement

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 5
FAILURES: Final = (
    exceptions.GoogleAPICallError,
    exceptions.RetryError,
    GoogleAuthError,
    RequestException,
    TimeoutError,
)
_TRANSIENT: Final = (
    exceptions.BadGateway,
    exceptions.GatewayTimeout,
    exceptions.InternalServerError,
    exceptions.ServiceUnavailable,
    exceptions.TooManyRequests,
    RequestException,
)
# Of an error 400: another statement has changed the same table. https://cloud.google.com/bigquery/docs/transactions
_CONFLICT: Final = "concurrent update"


def transient(timeout_s: float) -> retry.Retry:
    """Repeats calls that may succeed the next time; without it the client repeats them for ten minutes."""
    return retry.Retry(
        predicate=retry.if_exception_type(*_TRANSIENT), initial=0.2, maximum=2.0, timeout=timeout_s
    )


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
            except exceptions.BadRequest as error:
                if _CONFLICT not in str(error) or attempt == ATTEMPTS:
                    raise BigQueryUnavailable(f"BigQuery: {error.message:.300}") from error
                logger.warning("statement.conflicted", extra={"attempt": attempt})
                self._sleep(2.0**attempt)
            except FAILURES as error:
                raise BigQueryUnavailable(f"BigQuery: {type(error).__name__}") from error
        raise AssertionError("the last attempt returns or raises")

    def _rows(self, statement: Statement) -> list[dict[str, Any]]:
        again = transient(self._timeout_s)
        job = self._client.query(
            statement.sql, job_config(statement), timeout=self._timeout_s, retry=again, job_retry=None
        )
        return [dict(row) for row in job.result(timeout=self._statement_s, retry=again, job_retry=None)]


def job_config(statement: Statement) -> bigquery.QueryJobConfig:
    """A query job's configuration with a statement's parameters."""
    return bigquery.QueryJobConfig(
        query_parameters=[_parameter(one) for one in statement.parameters], use_query_cache=False
    )


def _parameter(one: Parameter) -> bigquery.ArrayQueryParameter | bigquery.ScalarQueryParameter:
    if isinstance(one.value, tuple):
        return bigquery.ArrayQueryParameter(one.name, one.type, list(one.value))
    return bigquery.ScalarQueryParameter(one.name, one.type, one.value)
