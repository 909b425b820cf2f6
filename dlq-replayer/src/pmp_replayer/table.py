"""The dead-letter table: listed for people, read as a source of letters where the hold is not asked."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from google.cloud import bigquery

from pmp_replayer.criteria import ReplayRequest
from pmp_replayer.letter import Letter, attributes, from_row
from pmp_runtime.bigquery.queries import PAGE_ROWS, Queries
from pmp_schema.timestamps import EARLIEST, format_timestamp

ASK_S: Final = 5.0  # between two questions for what came back
CLOCK_SKEW: Final = timedelta(minutes=1)
LISTED: Final = timedelta(days=30)  # each letter's size is asked for, and BigQuery bills its bytes for that


class DeadLetterTable:
    """Args:
    timeout_s: seconds for one call, retries included; a query is at least two calls.
    now: aware UTC clock.
    """

    def __init__(
        self,
        client: bigquery.Client,
        *,
        timeout_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queries = Queries(client, __package__, timeout_s=timeout_s)
        self._now = now

    def list(
        self, *, limit: int, reason: str | None, source_topic: str | None, since: datetime | None
    ) -> list[dict[str, Any]]:
        """The newest letters without their bytes, as JSON.

        Args:
            since: only what was dead-lettered then or later; of the last 30 days by default.

        Raises:
            BigQueryUnavailable: BigQuery does not answer.
        """
        rows = self._queries.rows(
            "list",
            limit=("INT64", limit),
            reason=("STRING", reason),
            source_topic=("STRING", source_topic),
            since=("TIMESTAMP", since or self._now() - LISTED),
        )
        return [_as_json(row) for row in rows]

    def letters(self, request: ReplayRequest, *, since: datetime | None = None) -> Iterator[Letter]:
        """The letters that match and that no run has replayed so far, each once.

        Args:
            since: only what was dead-lettered then or later.

        Raises:
            BigQueryUnavailable: BigQuery does not answer.
        """
        rows = self._queries.rows(
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
            BigQueryUnavailable: BigQuery does not answer.
        """
        rows = self._queries.rows("came_back", replay_id=("STRING", replay_id), since=("TIMESTAMP", since))
        return int(next(rows)["letters"])

    def ping(self) -> None:
        """Raises:
        BigQueryUnavailable: BigQuery does not answer, or the table is not there.
        """
        self._queries.ping("dead_letters")


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


def _as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {
        name: format_timestamp(value) if isinstance(value, datetime) else value for name, value in row.items()
    }
    return plain | {"attributes": attributes(row)}
