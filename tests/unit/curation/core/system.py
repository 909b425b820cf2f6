"""One system under curation; collects its results."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pmp_curation.core import Curated, Rules, Snapshot, SystemState, curate
from pmp_schema import events, gbfs

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def station(station_id: Any, bikes: Any = 5, **fields: Any) -> dict[str, Any]:
    flags = {"is_installed": 1, "is_renting": 1, "is_returning": 1}
    return {
        "station_id": station_id,
        "num_bikes_available": bikes,
        "num_docks_available": 10,
        **flags,
    } | fields


def body(stations: list[Any], feed_ts: datetime) -> bytes:
    return msgspec.json.encode({"last_updated": feed_ts.timestamp(), "data": {"stations": stations}})


def snapshot(payload: bytes, *, system_id: str = "velib", feed_ts: datetime | None = None) -> Snapshot:
    """A snapshot as the collector publishes it, a second after its feed time."""
    feed_ts = feed_ts or gbfs.feed_time(gbfs.decode(payload), fetched_at=datetime.now(UTC)).at
    event_id = events.snapshot_event_id(
        source=system_id, event_type=events.STATION_STATUS, event_ts=feed_ts, payload=payload
    )
    return Snapshot(
        system_id=system_id,
        event_id=event_id,
        feed_ts=feed_ts,
        feed_ts_source="last_updated",
        ingest_ts=feed_ts + timedelta(seconds=1),
        payload=payload,
        city_id="paris",
    )


def poll(minute: float, **bikes: Any) -> Snapshot:
    """A snapshot with the bikes of each station."""
    return snapshot(body([station(name, count) for name, count in bikes.items()], at(minute)))


@dataclass
class System:
    """Attributes:
    rows, events, polls, feed_events, rejected: all results so far, in order.
    """

    rules: Rules = field(default_factory=Rules)
    state: SystemState | None = None
    rows: list[Any] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    polls: list[Any] = field(default_factory=list)
    feed_events: list[Any] = field(default_factory=list)
    rejected: list[Any] = field(default_factory=list)

    def take(self, *snapshots: Snapshot) -> Curated:
        """Curates snapshots; returns the result of the last one."""
        for given in snapshots:
            curated = curate(self.state, given, self.rules)
            self.state = curated.state
            self.rows += curated.status_rows
            self.events += curated.rides
            self.polls += [curated.poll] if curated.poll else []
            self.feed_events += curated.feed_events
            self.rejected += curated.rejected
        return curated

    @property
    def verdicts(self) -> list[str]:
        return [row["verdict"] for row in self.polls]

    @property
    def moves(self) -> list[tuple[str, str, int]]:
        return [(event["station_id"], event["kind"], event["delta"]) for event in self.events]

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [(row["station_id"], row["change"]) for row in self.rows]

    def warm(self, before: datetime) -> SystemState:
        """The state that a job without one builds from the rows before a snapshot."""
        return SystemState.from_rows(
            "velib",
            [row for row in self.rows if row["feed_ts"] < before],
            [row for row in self.polls if row["feed_ts"] < before],
            rules=self.rules,
        )
