"""The table `dead_letters`: listed for people, and the source of a replay with `"from": "table"`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from google.cloud import bigquery

from pmp_replayer.dead_letter import Letter, attributes, from_row
from pmp_replayer.request import ReplayRequest
from pmp_runtime.bigquery.queries import PAGE_ROWS, Queries
from pmp_schema.timestamps import EARLIEST, format_timestamp

CAME_BACK_EVERY_S: Final = 5.0
CLOCK_SKEW: Final = timedelta(minutes=1)
LISTED: Final = timedelta(days=30)  # the list shows the size of `data`, and BigQuery bills its bytes for that


class DeadLetterTable:
    """Every method raises `BigQueryUnavailable` when BigQuery does not answer.

    Args:
        timeout_s: seconds for one call, retries included; a query is at least two calls.
    """

    def __init__(self, client: bigquery.Client, *, timeout_s: float) -> None:
        self._queries = Queries(client, __package__, timeout_s=timeout_s)

    def list(
        self, *, limit: int, reason: str | None, source_topic: str | None, since: datetime | None
    ) -> list[dict[str, Any]]:
        """The newest dead letters without their bytes, as JSON.

        Args:
            since: only what was dead-lettered then or later; 30 days ago by default.
        """
        rows = self._queries.rows(
            "list",
            limit=("INT64", limit),
            reason=("STRING", reason),
            source_topic=("STRING", source_topic),
            since=("TIMESTAMP", since or datetime.now(UTC) - LISTED),
        )
        return [_as_json(row) for row in rows]

    def letters(self, request: ReplayRequest, *, since: datetime | None = None) -> Iterator[Letter]:
        """The dead letters that match and that no replay has replayed yet, each once.

        Args:
            since: only what was dead-lettered then or later.
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
        """How many dead letters of a replay have been given up again."""
        rows = self._queries.rows("came_back", replay_id=("STRING", replay_id), since=("TIMESTAMP", since))
        return int(next(rows)["letters"])

    def ping(self) -> None:
        self._queries.ping("dead_letters")


class CameBack:
    """`DeadLetterTable.came_back` of one replay, queried every few seconds at most."""

    def __init__(self, table: DeadLetterTable, replay_id: str) -> None:
        self._table = table
        self._replay_id = replay_id
        self._since = datetime.now(UTC) - CLOCK_SKEW
        self._queried_s = time.monotonic()
        self._letters = 0

    def __call__(self) -> int:
        if time.monotonic() - self._queried_s >= CAME_BACK_EVERY_S:
            self._letters = self._table.came_back(self._replay_id, self._since)
            self._queried_s = time.monotonic()
        return self._letters


class TableSource:
    """The table as the source of one replay; see `replay.Source`.

    Args:
        came_back: how many dead letters of the replay have been given up again.
        since: only what was dead-lettered then or later.
    """

    def __init__(
        self,
        table: DeadLetterTable,
        request: ReplayRequest,
        came_back: Callable[[], int],
        *,
        since: datetime | None = None,
    ) -> None:
        self._table = table
        self._request = request
        self.came_back = came_back
        self._since = since

    def letters(self) -> Iterator[Sequence[Letter]]:
        rows = self._table.letters(self._request, since=self._since)
        while some := list(islice(rows, PAGE_ROWS)):
            yield some

    def settle(self, letters: Sequence[Letter]) -> None:
        """Does nothing: the audit trail lists the dead letters, and the next replay skips those."""

    def ended_by(self) -> str | None:
        return None


def _as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {
        name: format_timestamp(value) if isinstance(value, datetime) else value for name, value in row.items()
    }
    return plain | {"attributes": attributes(row)}
