"""The dead-letter table: listed for people, read as a source of letters where the hold is not asked."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, Final

from google.api_core import exceptions, retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from requests import RequestException

from pmp_replayer.criteria import ReplayRequest
from pmp_replayer.letter import Letter, attributes, from_row
from pmp_schema import tables
from pmp_schema.errors import RetryableError
from pmp_schema.events import rfc3339
from pmp_schema.instants import EARLIEST

PAGE_ROWS: Final = 100  # of up to 10 MB each
ASK_S: Final = 5.0  # between two questions for what came back
CLOCK_SKEW: Final = timedelta(minutes=1)
PING_TIMEOUT_S: Final = 2.0
_FAILURES: Final = (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError, RequestException)
_ONCE: Final = retry.Retry(predicate=retry.if_exception_type())
_TRANSIENT: Final = (
    exceptions.BadGateway,
    exceptions.GatewayTimeout,
    exceptions.InternalServerError,
    exceptions.ServiceUnavailable,
    exceptions.TooManyRequests,
    RequestException,
)


class TableUnavailable(RetryableError):
    """BigQuery does not answer for the dead-letter table."""


class DeadLetterTable:
    """Args:
    timeout_s: seconds for one call, retries included; a query is at least two calls.
    """

    def __init__(self, client: bigquery.Client, *, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        # Always passed: without it the client repeats a refused connection for ten minutes.
        self._retry = retry.Retry(
            predicate=retry.if_exception_type(*_TRANSIENT), initial=0.2, maximum=2.0, timeout=timeout_s
        )

    def list(
        self, *, limit: int, reason: str | None, source_topic: str | None, since: datetime | None
    ) -> list[dict[str, Any]]:
        """The newest letters without their bytes, as JSON.

        Raises:
            TableUnavailable: BigQuery does not answer.
        """
        rows = self._query(
            "list",
            limit=("INT64", limit),
            reason=("STRING", reason),
            source_topic=("STRING", source_topic),
            since=("TIMESTAMP", since or EARLIEST),
        )
        return [_as_json(row) for row in rows]

    def letters(self, request: ReplayRequest, *, since: datetime | None = None) -> Iterator[Letter]:
        """The letters that match and that no run has replayed so far, each once.

        Args:
            since: only what was dead-lettered then or later.

        Raises:
            TableUnavailable: BigQuery does not answer.
        """
        rows = self._query(
            "letters",
            reason=("STRING", request.reason),
            source_topic=("STRING", request.source_topic),
            system=("STRING", request.system),
            published_after=("TIMESTAMP", request.published_after),
            published_before=("TIMESTAMP", request.published_before),
            since=("TIMESTAMP", since or EARLIEST),
        )
        return map(from_row, rows)

    def came_back(self, replay_id: str, since: datetime) -> int:
        """How many letters of a run are dead letters again.

        Raises:
            TableUnavailable: BigQuery does not answer.
        """
        rows = self._query("came_back", replay_id=("STRING", replay_id), since=("TIMESTAMP", since))
        return int(next(rows)["letters"])

    def ping(self) -> None:
        """Raises:
        TableUnavailable: BigQuery does not answer, or the table is not there.
        """
        name = f"{self._client.project}.{tables.table('dead_letters').id}"
        try:
            self._client.get_table(name, timeout=PING_TIMEOUT_S, retry=_ONCE)
        except exceptions.Forbidden:
            return
        except _FAILURES as error:
            raise TableUnavailable(f"dead_letters: {type(error).__name__}") from error

    def _query(self, name: str, **parameters: tuple[str, Any]) -> Iterator[Mapping[str, Any]]:
        config = bigquery.QueryJobConfig(
            query_parameters=[
                bigquery.ScalarQueryParameter(parameter, kind, value)
                for parameter, (kind, value) in parameters.items()
            ]
        )
        try:
            job = self._client.query(
                _statement(name, self._client.project),
                job_config=config,
                timeout=self._timeout_s,
                retry=self._retry,
                job_retry=None,
            )
            yield from job.result(
                page_size=PAGE_ROWS, timeout=self._timeout_s, retry=self._retry, job_retry=None
            )
        except (*_FAILURES, TimeoutError) as error:
            raise TableUnavailable(f"{name}: {type(error).__name__}") from error


class TableSource:
    """One run's view of the table.

    Args:
        returns: how many letters of the run the table has again.
        since: only what was dead-lettered then or later.
    """

    def __init__(
        self,
        table: DeadLetterTable,
        request: ReplayRequest,
        *,
        returns: Callable[[], int],
        since: datetime | None = None,
    ) -> None:
        self._table = table
        self._request = request
        self._returns = returns
        self._since = since

    def letters(self) -> Iterator[Sequence[Letter]]:
        rows = self._table.letters(self._request, since=self._since)
        while some := list(islice(rows, PAGE_ROWS)):
            yield some

    def settle(self, letters: Sequence[Letter]) -> None:
        """Nothing: the ledger names the letters, and that keeps them out of the next run."""

    def came_back(self) -> int:
        return self._returns()

    def ended_by(self) -> str | None:
        return None


class Returns:
    """How many letters of a run the table has again; asked every few seconds, remembered in between.

    Args:
        now: aware UTC clock.
    """

    def __init__(
        self,
        table: DeadLetterTable,
        replay_id: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._replay_id = replay_id
        self._since = now() - CLOCK_SKEW
        self._monotonic = monotonic
        self._asked_s = monotonic()
        self._letters = 0

    def __call__(self) -> int:
        if self._monotonic() - self._asked_s >= ASK_S:
            self._letters = self._table.came_back(self._replay_id, self._since)
            self._asked_s = self._monotonic()
        return self._letters


@cache
def _statement(name: str, project: str) -> str:
    text = files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8")
    for table in ("dead_letters", "events"):
        text = text.replace(f"{{{table}}}", f"{project}.{tables.table(table).id}")
    return text


def _as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in row.items()}
    return plain | {"attributes": attributes(row)}
