"""What is known of published messages, from the views `reconciliation` and `arrivals`."""

from datetime import datetime
from typing import Final

from google.cloud import bigquery

from pmp_replayer.reconciliation import Hour, Repeat
from pmp_runtime.bigquery.queries import Queries

MAX_REPEATS: Final = 1000


class Arrivals:
    """Args:
    timeout_s: seconds for one call, retries included; a query is at least two calls.

    Raises:
        BigQueryUnavailable: from each method, where BigQuery does not answer or the views are not there.
    """

    def __init__(self, client: bigquery.Client, *, timeout_s: float) -> None:
        self._queries = Queries(client, __package__, timeout_s=timeout_s)

    def hours(self, since: datetime) -> list[Hour]:
        return [Hour(**row) for row in self._queries.rows("hours", since=("TIMESTAMP", since))]

    def repeats(self, since: datetime) -> list[Repeat]:
        """The newest first, and no more than 1,000."""
        rows = self._queries.rows("repeats", since=("TIMESTAMP", since), limit=("INT64", MAX_REPEATS))
        return [Repeat(**row) for row in rows]
