"""Which published messages have arrived in BigQuery."""

from dataclasses import dataclass, field
from typing import Any, Final

from google.cloud import bigquery

from pmp_schema import tables
from pmp_schema.topology import TOPOLOGY
from pmpctl.demo.exhibits import Exhibit
from pmpctl.statements import Parameter, rows

QUERY_TIMEOUT_S: Final = 20.0


@dataclass(slots=True)
class Published:
    """What was confirmed by Pub/Sub.

    Attributes:
        messages: message ids by the table that their rows go to.
        sensor_run: part of every event id of the run.
        sensor_events: how many events the run published.
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
        CommandError: from each method, where BigQuery does not answer.
    """

    def __init__(self, client: bigquery.Client) -> None:
        self._client = client

    def missing(self, published: Published) -> int:
        """Published messages that are neither a row of their table nor a dead letter."""
        return self._missing_events(published) + sum(
            self._missing_messages(table, ids) for table, ids in published.messages.items()
        )

    def count(self, table: str) -> int:
        return int(self._query(f"SELECT COUNT(*) AS n FROM {self._name(table)}")[0]["n"])  # noqa: S608 - our names

    def age_s(self, table: str) -> float | None:
        """Seconds since the newest row was ingested; None for a table without rows."""
        columns = {column.name for column in tables.table(table).columns}
        column = next(
            name for name in ("ingest_ts", "publish_ts", "dead_lettered_ts", "as_of") if name in columns
        )
        sql = f"SELECT TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), MAX({column}), MILLISECOND) AS age FROM {self._name(table)}"  # noqa: S608
        age = self._query(sql)[0]["age"]
        return None if age is None else age / 1000

    def sample(self, exhibit: Exhibit) -> list[dict[str, Any]]:
        return self._query(
            f"SELECT {exhibit.columns} FROM {self._name(exhibit.source)} {exhibit.rest} LIMIT 5"  # noqa: S608
        )

    def uncurated(self, published: Published) -> int:
        """Published snapshots without a poll row."""
        parameter = bigquery.ArrayQueryParameter(
            "ids", "STRING", published.messages.get("feed_snapshots", [])
        )
        polls = f"SELECT event_id FROM {self._name('feed_polls')}"  # noqa: S608
        sql = f"""
            SELECT COUNT(DISTINCT event_id) AS n FROM {self._name("feed_snapshots")}
            WHERE message_id IN UNNEST(@ids) AND event_id NOT IN ({polls})
        """  # noqa: S608
        return int(self._query(sql, parameter)[0]["n"])

    def missing_rides(self) -> int:
        """Changes of a station's bikes without their derived event, or derived events without a change."""
        sql = f"""
            WITH history AS (
              SELECT bikes - LAG(bikes) OVER (PARTITION BY system_id, station_id ORDER BY feed_ts) AS gained
              FROM {self._name("station_status_unique")}
              WHERE bikes IS NOT NULL
            )
            SELECT ABS((SELECT COUNTIF(gained != 0) FROM history) - COUNT(*)) AS n
            FROM {self._name("raw_events_unique")}
            WHERE source = 'derived'
        """  # noqa: S608
        return int(self._query(sql)[0]["n"])

    def untold_runs(self) -> int:
        """1 as long as no feature run is known to have succeeded."""
        sql = f"SELECT COUNT(*) AS n FROM {self._name('feature_runs')} WHERE status = 'succeeded'"  # noqa: S608
        return int(self._query(sql)[0]["n"] == 0)

    def _missing_events(self, published: Published) -> int:
        if not published.sensor_events:
            return 0
        run = bigquery.ScalarQueryParameter("run", "STRING", f"e-{published.sensor_run}-")
        found: set[str] = set()
        for name, column in (
            ("raw_events", "event_id"),
            ("dead_letters", "JSON_VALUE(attributes, '$.\"ce-id\"')"),
        ):
            sql = f"SELECT DISTINCT {column} AS id FROM {self._name(name)} WHERE STARTS_WITH({column}, @run)"  # noqa: S608
            found |= {row["id"] for row in self._query(sql, run)}
        return published.sensor_events - len(found)

    def _missing_messages(self, table: str, ids: list[str]) -> int:
        parameter = bigquery.ArrayQueryParameter("ids", "STRING", ids)
        found: set[str] = set()
        for name, column in ((table, "message_id"), ("dead_letters", "original_message_id")):
            sql = f"SELECT DISTINCT {column} AS id FROM {self._name(name)} WHERE {column} IN UNNEST(@ids)"  # noqa: S608
            found |= {row["id"] for row in self._query(sql, parameter)}
        return len(set(ids) - found)

    def _name(self, table: str) -> str:
        return f"`{self._client.project}.{TOPOLOGY.dataset_of(table).id}.{table}`"

    def _query(self, sql: str, *parameters: Parameter) -> list[dict[str, Any]]:
        return rows(self._client, sql, *parameters, timeout_s=QUERY_TIMEOUT_S)
