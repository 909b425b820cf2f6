"""What operators are told: that a feed became suspect, and that it recovered."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pmp_curation.core.snapshot import Snapshot
from pmp_schema.timestamps import format_timestamp


@dataclass(frozen=True, slots=True)
class Notice:
    """An operational event to publish.

    Attributes:
        id: the same for the same snapshot.
        at: when the snapshot was fetched, aware.
        data: JSON object.
    """

    id: str
    type: Literal["feed.suspect", "feed.recovered"]
    system_id: str
    at: datetime
    data: dict[str, Any]


def notice(
    kind: Literal["feed.suspect", "feed.recovered"], snapshot: Snapshot, poll: dict[str, Any]
) -> Notice:
    """A notice about the snapshot that made the difference."""
    parts = f"{kind}\0{snapshot.system_id}\0{snapshot.event_id}"
    return Notice(
        id="notice-" + hashlib.sha256(parts.encode()).hexdigest()[:32],
        type=kind,
        system_id=snapshot.system_id,
        at=snapshot.ingest_ts,
        data={
            "system_id": snapshot.system_id,
            "snapshot": snapshot.event_id,
            "feed_ts": format_timestamp(snapshot.feed_ts),
            "stations": poll["stations"],
            "detail": poll["detail"],
        },
    )
