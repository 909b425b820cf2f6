"""What the demo reads from BigQuery: which published messages have arrived, and what it shows."""

from dataclasses import dataclass, field
from typing import Any, Final

from google.cloud import bigquery

from pmp_runtime.bigquery.queries import PAGE_ROWS, Queries

QUERY_TIMEOUT_S: Final = 20.0
# Titles by the name of the query in sql/.
EXHIBITS: Final = {
    "snapshots": "feed_snapshots: feed bodies as they were collected",
    "polls": "feed_polls: their validation and what changed",
    "fullest_stations": "latest_state_enriched: the stations with the most bikes",
    "hours": "totals_hourly_local: the city by its own hours",
    "rides": "raw_events: bikes of derived rides",
    "features": "station_features: the stations with the most pickups (events) in 24 hours",
    "feature_runs": "feature_runs: how they were computed",
    "sensors": "raw_events: simulated sensors",
    "events": "events: what the services did",
}


@dataclass(slots=True)
class Published:
    """What Pub/Sub confirmed.

    Attributes:
        messages: message ids by the table of their rows.
        sensor_run: part of every event id of the sensor simulation.
        sensor_events: how many events it published.
    """

    messages: dict[str, list[str]] = field(default_factory=dict)
    sensor_run: str = ""
    sensor_events: int = 0

    @property
    def total(self) -> int:
        return sum(map(len, self.messages.values())) + self.sensor_events


class Landed:
    """Reads the tables; every call has a time-out.

    Raises:
        BigQueryUnavailable: from each method, if BigQuery does not answer.
    """

    def __init__(self, client: bigquery.Client) -> None:
        self._queries = Queries(client, "pmpctl.demo", timeout_s=QUERY_TIMEOUT_S)

    def missing(self, published: Published) -> int:
        """Published messages that are neither a row of their table nor a dead letter."""
        return self._missing_events(published) + self._missing_messages(published)

    def counts(self) -> dict[str, tuple[int, float | None]]:
        """Rows by table, and the age of the newest in seconds; None for a table without rows."""
        return {
            row["table_id"]: (row["row_count"], None if row["age_ms"] is None else row["age_ms"] / 1000)
            for row in self._queries.rows("counts")
        }

    def exhibits(self) -> dict[str, list[dict[str, Any]]]:
        """What the demo shows, in columns that fit a terminal: rows by title."""
        return {title: [dict(row) for row in self._queries.rows(name)] for name, title in EXHIBITS.items()}

    def uncurated(self, published: Published) -> int:
        """Published snapshots without a poll row."""
        ids = published.messages.get("feed_snapshots", [])
        return self._number("uncurated", message_ids=("STRING", ids))

    def missing_rides(self) -> int:
        """Changes without their derived event, and derived events without their change."""
        return self._number("missing_rides")

    def missing_runs(self) -> int:
        """1 until a feature run is known to have succeeded."""
        return int(self._number("succeeded_runs") == 0)

    def _missing_events(self, published: Published) -> int:
        if not published.sensor_events:
            return 0
        prefix = ("STRING", f"e-{published.sensor_run}-")
        return published.sensor_events - len(list(self._queries.rows("arrived_events", prefix=prefix)))

    def _missing_messages(self, published: Published) -> int:
        wanted = {(table, one) for table, ids in published.messages.items() for one in ids}
        asked = {
            table: ("STRING", published.messages.get(table, []))
            for table in ("feed_snapshots", "station_information")
        }
        found = self._queries.rows("arrived_messages", page_rows=PAGE_ROWS, **asked)
        return len(wanted - {(row["table_id"], row["message_id"]) for row in found})

    def _number(self, name: str, **parameters: tuple[str, Any]) -> int:
        (row,) = self._queries.rows(name, page_rows=1, **parameters)
        return int(row["n"])
