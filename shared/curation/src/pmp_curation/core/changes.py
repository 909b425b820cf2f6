"""Changes: which stations get a row, and why. Counts and flags decide, never `last_reported`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from pmp_curation.core.inputs import Snapshot
from pmp_curation.core.observation import Observation, Observed, reported
from pmp_curation.core.readings import Values
from pmp_curation.core.state import Station
from pmp_schema.gbfs import StatusReader

Cause = Literal["first", "counts", "flags", "heartbeat"]


@dataclass(frozen=True, slots=True)
class Change:
    """A station that gets a row.

    Attributes:
        before: the remembered station; None where it is new.
    """

    station_id: str
    cause: Cause
    observation: Observation
    before: Station | None

    @property
    def values(self) -> Values:
        return self.observation[0].values

    def after(self, feed_us: int) -> Station:
        values = self.values
        return (self.before or Station(values, None, feed_us)).followed_by(values, feed_us)


def find_changes(remembered: Mapping[str, Station], observed: Observed, *, due_us: int) -> list[Change]:
    """Compares the remembered stations with the observed ones.

    Args:
        due_us: stations whose last row is not later than this get a heartbeat.
    """
    changes = []
    for station_id, observation in observed.stations.items():
        values = observation[0].values
        before = remembered.get(station_id)
        cause: Cause
        if before is None:
            cause = "first"
        elif before.values == values:
            if before.emitted_us > due_us:
                continue
            cause = "heartbeat"
        else:
            cause = "flags" if before.values.counts == values.counts else "counts"
        changes.append(Change(station_id, cause, observation, before))
    return changes


def status_rows(changes: Iterable[Change], snapshot: Snapshot) -> list[dict[str, Any]]:
    """Rows of `station_status`, without `ingest_ts`."""
    reader = StatusReader(snapshot.ingest_ts)
    return [_row(change, snapshot, reader) for change in changes]


def _row(change: Change, snapshot: Snapshot, reader: StatusReader) -> dict[str, Any]:
    reported_ts, quality = reported(reader, change.observation)
    return {
        "system_id": snapshot.system_id,
        "station_id": change.station_id,
        "feed_ts": snapshot.feed_ts,
        "reported_ts": reported_ts,
        **msgspec.structs.asdict(change.values),
        "change": change.cause,
        "quality": quality,
        "event_id": snapshot.event_id,
    }
