"""The dashboard's BigQuery queries, each bounded to a period of the data."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from google.cloud import bigquery

from pmp_dashboard.summary import FLOW, Flow, Row, summary
from pmp_runtime.bigquery.queries import Queries

HISTORY: Final = timedelta(hours=24)
KNOWN: Final = timedelta(days=3)
FEATURES_BEFORE: Final = timedelta(days=3)
FEATURES_AFTER: Final = timedelta(days=1)
PAGE_ROWS: Final = 10_000  # rows here are small


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A system in the view `pipeline_health`.

    Attributes:
        newest_feed_at: feed time of its newest accepted snapshot, UTC; None without one.
        stations_known: number of stations in its newest station information; None without information.
    """

    id: str
    city_id: str
    timezone: str
    newest_feed_at: datetime | None
    stations_known: int | None

    @classmethod
    def from_health(cls, row: Row) -> Self:
        return cls(
            id=row["system_id"],
            city_id=row["city_id"],
            timezone=row["timezone"],
            newest_feed_at=row["newest_feed_ts"],
            stations_known=row["stations_known"],
        )


class Marts:
    """Answers as JSON objects with datetimes. Keys of times end in `_ts`, keys of ages in `_s`.

    Every method raises `BigQueryUnavailable` when BigQuery does not answer.

    Args:
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

    def health(self) -> dict[str, Any]:
        """Systems and topics, each sorted by name."""
        rows = sorted(self._rows("health"), key=lambda row: str(row["name"]))
        return {
            "generated_ts": self._now(),
            "systems": [_system(row) for row in rows if row["scope"] == "system"],
            "topics": [_topic(row) for row in rows if row["scope"] == "topic"],
        }

    def stations(self, system: System) -> dict[str, Any]:
        """The state and net flow of each station, and sums over the system."""
        rows = self._rows("stations", system=("STRING", system.id))
        flow = self._flow(system)
        stations = [dict(row) | {"net_flow": flow.net(row["station_id"])} for row in rows]
        return self._answer(
            system,
            summary=summary(stations, system.stations_known),
            flow=flow.total(row["station_id"] for row in rows),
            stations=stations,
        )

    def totals(self, system: System, hours: int) -> dict[str, Any]:
        """The hours up to the newest feed time; an hour starts at its `hour_ts`."""
        until = system.newest_feed_at or self._now()
        rows = self._rows("totals", system=("STRING", system.id), **_between(until, timedelta(hours=hours)))
        return self._answer(system, hours=rows)

    def features(self, system: System) -> dict[str, Any]:
        """The features of every station of the system's city, by `name_window`."""
        until = (system.newest_feed_at or self._now()) + FEATURES_AFTER
        rows = self._rows(
            "features",
            city=("STRING", system.city_id),
            **_between(until, FEATURES_BEFORE + FEATURES_AFTER),
        )
        found: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for row in rows:
            found[row["station_id"]][f"{row['feature_name']}_{row['window_len']}"] = row["value"]
        return self._answer(system, as_of=rows[0]["as_of"] if rows else None, features=dict(found))

    def known(self, system: System) -> dict[str, dict[str, Any] | None]:
        """Stations by id, with their information; None for those that only have a row of the last 3 days."""
        until = system.newest_feed_at or self._now()
        rows = self._rows("known", system=("STRING", system.id), **_between(until, KNOWN))
        return {row["station_id"]: row if row.pop("has_information") else None for row in rows}

    def history(self, system: System, station_id: str) -> dict[str, Any]:
        """The rows of one station in the 24 hours before the newest feed time."""
        until = system.newest_feed_at or self._now()
        asked = {"system": ("STRING", system.id), "station": ("STRING", station_id)}
        rows = self._rows("history", **asked, **_between(until, HISTORY))
        return self._answer(system, station_id=station_id, history=rows)

    def ping(self) -> None:
        """Raises:
        BigQueryUnavailable: BigQuery does not answer, or the view does not exist.
        """
        self._queries.ping("latest_state_enriched")

    def _rows(self, name: str, **parameters: tuple[str, Any]) -> list[dict[str, Any]]:
        return [dict(row) for row in self._queries.rows(name, page_rows=PAGE_ROWS, **parameters)]

    def _answer(self, system: System, **parts: Any) -> dict[str, Any]:
        return {
            "system_id": system.id,
            "city_id": system.city_id,
            "timezone": system.timezone,
            "newest_feed_ts": system.newest_feed_at,
            "generated_ts": self._now(),
        } | parts

    def _flow(self, system: System) -> Flow:
        until = system.newest_feed_at
        if until is None:
            return Flow(None, {})
        rows = self._rows("flow", city=("STRING", system.city_id), **_between(until, FLOW))
        return Flow(until, {row["station_id"]: (row["pickups"], row["dropoffs"]) for row in rows})


def _between(until: datetime, length: timedelta) -> dict[str, tuple[str, datetime]]:
    return {"since": ("TIMESTAMP", until - length), "until": ("TIMESTAMP", until)}


def _system(row: Row) -> dict[str, Any]:
    of_topics = {"scope", "name", "reconciled_until", "missing_messages", "surplus_messages"}
    return {
        "system_id": row["name"],
        **{name: value for name, value in row.items() if name not in of_topics},
        "city_id": row["city_id"] or "unknown",
        "timezone": row["timezone"] or "UTC",
    }


def _topic(row: Row) -> dict[str, Any]:
    return {
        "topic": row["name"],
        "dead_letters_24h": row["dead_letters_24h"],
        "reconciled_until_ts": row["reconciled_until"],
        "missing_messages": row["missing_messages"],
        "surplus_messages": row["surplus_messages"],
    }
