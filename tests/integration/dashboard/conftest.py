"""A small city in the warehouse, as the curation, the writer and a feature run leave it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from pmp_dashboard.marts import Marts, System
from tests.integration.marts.conftest import marts, warehouse

__all__ = ["marts", "warehouse"]  # fixtures

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
NEWEST = NOW - MINUTE


@dataclass
class City:
    """Attributes:
    tables: the rows go in here.
    asked: the dashboard's questions over the same warehouse.
    """

    tables: object
    asked: Marts

    @property
    def id(self):
        return self.tables.system

    def system(self):
        (row,) = [row for row in self.asked.health()["systems"] if row["system_id"] == self.id]
        return System.from_health(row)

    def known(self, *stations, feed_ts=NEWEST):
        """The system's city and zone, and stations by id and columns."""
        attributes = {"ce-cityid": f"city-{self.id}", "ce-timezone": "Europe/Paris"}
        self.tables.insert("feed_snapshots", {"ingest_ts": NOW, "attributes": attributes})
        rows = [{"feed_ts": feed_ts, "ingest_ts": NOW} | station for station in stations]
        self.tables.insert("station_information", *rows)

    def polled(self, *polls):
        """Accepted snapshots: feed time and columns."""
        self.tables.insert("feed_polls", *({"stations": 3} | poll for poll in polls))

    def stood(self, *rows):
        self.tables.insert(
            "station_status", *({"is_installed": True, "is_renting": True} | row for row in rows)
        )

    def rode(self, *rows):
        base = {"city_id": f"city-{self.id}", "kind": "pickup", "delta": 1, "source": "derived"}
        self.tables.insert(
            "raw_events", *(base | {"event_date": f"{row['ts_iso']:%Y-%m-%d}"} | row for row in rows)
        )


@pytest.fixture
def city(marts):
    return City(marts, Marts(marts.client, timeout_s=30))
