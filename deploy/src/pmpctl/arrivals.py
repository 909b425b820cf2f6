"""What is known of published messages, from the views `reconciliation` and `arrivals`."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from requests import RequestException

from pmp_schema.topology import TOPOLOGY
from pmpctl.changes import RETRY
from pmpctl.errors import CommandError

QUERY_TIMEOUT_S: Final = 60.0
MAX_REPEATS: Final = 1000
_DATASET: Final = TOPOLOGY.dataset_of("events").id  # the views lie beside the events that hold the counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What is known of one topic and hour; numbers of messages.

    Attributes:
        hour: its begin, UTC.
        published: confirmed to publishers that count.
        rows: messages that became rows, each once however often it was delivered.
        dead_letters: messages that became only dead letters.
        duplicates: how many of the rows' messages carry an event that an earlier message carried.
        edge: messages of the last seconds of the hour, which may have been counted in the next.
    """

    topic: str
    hour: datetime
    published: int
    rows: int
    dead_letters: int
    duplicates: int
    edge: int = 0

    @property
    def excess(self) -> int:
        """Arrived less published."""
        return self.rows + self.dead_letters - self.published


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A message that arrived more than once, or whose event had been published before.

    Attributes:
        event: id of what it carries; for sensor events date/station/id.
        deliveries: how often it became rows.
        published_again: an earlier message carries the same event.
    """

    topic: str
    publish_ts: datetime
    message_id: str
    event: str
    deliveries: int
    published_again: bool


class Views:
    """Reads the views of a project; every call has a time-out.

    Raises:
        CommandError: from each method, where BigQuery does not answer or the views are not there.
    """

    def __init__(self, client: bigquery.Client, retry: Retry = RETRY) -> None:
        self._client = client
        self._retry = retry

    def hours(self, since: datetime) -> list[Hour]:
        columns = "topic, hour, published, rows_, dead_letters, duplicates, edge"
        sql = f"SELECT {columns} FROM {self._name('reconciliation')} WHERE hour >= @since"  # noqa: S608 - our names
        return [Hour(**{k.rstrip("_"): v for k, v in row.items()}) for row in self._query(sql, since)]

    def repeats(self, since: datetime) -> list[Repeat]:
        columns = "topic, publish_ts, message_id, event, deliveries, is_repeat AS published_again"
        wanted = "publish_ts >= @since AND (deliveries > 1 OR is_repeat)"
        order = f"publish_ts DESC, message_id LIMIT {MAX_REPEATS}"
        sql = f"SELECT {columns} FROM {self._name('arrivals')} WHERE {wanted} ORDER BY {order}"  # noqa: S608
        return [Repeat(**row) for row in self._query(sql, since)]

    def _name(self, view: str) -> str:
        return f"`{self._client.project}.{_DATASET}.{view}`"

    def _query(self, sql: str, since: datetime) -> list[dict[str, Any]]:
        parameter = bigquery.ScalarQueryParameter("since", "TIMESTAMP", since.astimezone(UTC))
        config = bigquery.QueryJobConfig(query_parameters=[parameter], use_query_cache=False)
        try:
            job = self._client.query(
                sql, job_config=config, timeout=QUERY_TIMEOUT_S, retry=self._retry, job_retry=None
            )
            return [
                dict(row) for row in job.result(timeout=QUERY_TIMEOUT_S, retry=self._retry, job_retry=None)
            ]
        except NotFound as error:
            raise CommandError("the views are not there; run `pmpctl tables apply`") from error
        except (GoogleAPIError, GoogleAuthError, RequestException, TimeoutError) as error:
            cause = str(error).partition("\n")[0] or type(error).__name__
            raise CommandError(f"BigQuery: {cause}") from error
