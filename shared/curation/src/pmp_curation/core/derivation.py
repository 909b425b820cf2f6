"""Pickups and dropoffs, as the net change of a station's bikes between two polls.

A lower bound: a bike that leaves and one that arrives between two polls cancel out, and vans look like riders.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from pmp_curation.core.changes import Change
from pmp_curation.core.snapshot import Snapshot
from pmp_schema.timestamps import format_timestamp


def sensor_events(changes: Iterable[Change], snapshot: Snapshot) -> list[dict[str, Any]]:
    """Messages by `sensor_event.v1.json`, at most one per station.

    A count is compared with the last known one of the station, however long ago that was.
    """
    feed_ts = format_timestamp(snapshot.feed_ts)
    return [
        {
            "event_id": _event_id(snapshot.system_id, change.station_id, feed_ts, kind),
            "station_id": change.station_id,
            "ts_iso": feed_ts,
            "kind": kind,
            "delta": abs(gained),
            "city_id": snapshot.city_id,
            "source": "derived",
        }
        for change in changes
        if (gained := _gained(change))
        for kind in ("dropoff" if gained > 0 else "pickup",)
    ]


def _gained(change: Change) -> int:
    before, bikes = change.before, change.values.bikes
    if before is None or before.known_bikes is None or bikes is None:
        return 0
    return bikes - before.known_bikes


def _event_id(*parts: str) -> str:
    return "derived-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
