"""What is recorded of a snapshot: its row of `feed_polls`, and ops events when its feed turns suspect or recovers."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal

from pmp_curation.core.inputs import Snapshot
from pmp_curation.core.observation import Observed
from pmp_schema.timestamps import format_timestamp


def poll_row(
    snapshot: Snapshot, observed: Observed, *, verdict: str, changed: int | None, detail: str | None
) -> dict[str, Any]:
    """A row of `feed_polls`, without `ingest_ts`.

    Args:
        changed: stations that are new or have other counts or flags; None where that was not compared.
    """
    readings = [reading for reading, _ in observed.stations.values()]
    values = [reading.values for reading in readings]
    return {
        "system_id": snapshot.system_id,
        "event_id": snapshot.event_id,
        "feed_ts": snapshot.feed_ts,
        "feed_ts_source": snapshot.feed_ts_source,
        "verdict": verdict,
        "stations": len(readings),
        "changed": changed,
        "bikes": _total(map(attrgetter("bikes"), values)),
        "docks": _total(map(attrgetter("docks"), values)),
        "empty_stations": sum(map(attrgetter("is_empty"), readings)),
        "full_stations": sum(map(attrgetter("is_full"), readings)),
        "closed_stations": sum(map(attrgetter("is_closed"), readings)),
        "rejected_rows": len(observed.rejected),
        "detail": _detail(observed, detail),
    }


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An ops event about a feed.

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


def feed_event(
    kind: Literal["feed.suspect", "feed.recovered"], snapshot: Snapshot, poll: dict[str, Any]
) -> FeedEvent:
    """The ops event about the snapshot with which a feed became suspect, or recovered."""
    parts = f"{kind}\0{snapshot.system_id}\0{snapshot.event_id}"
    return FeedEvent(
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


def _total(counts: Iterable[int | None]) -> int | None:
    """The sum of the known counts; None where all are unknown."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _detail(observed: Observed, detail: str | None) -> str | None:
    parts = [detail] if detail else []
    if observed.duplicates:
        parts.append(f"{observed.duplicates} stations listed again, {observed.conflicts} of them differ")
    return "; ".join(parts) or None
