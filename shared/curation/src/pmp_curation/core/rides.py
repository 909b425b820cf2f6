"""Rides: pickups and dropoffs, derived from the net change of a station's bikes between two polls.

The numbers are a lower bound: a bike that leaves and one that arrives between two polls cancel out. Bikes that a van
moves look like rides.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from pmp_curation.core.changes import Change
from pmp_curation.core.inputs import Snapshot
from pmp_schema.timestamps import format_timestamp


def derive_rides(changes: Iterable[Change], snapshot: Snapshot) -> list[dict[str, Any]]:
    """Sensor events (`sensor_event.v1.json`), at most one per station.

    A count is compared with the station's last known one, however old that is.
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
