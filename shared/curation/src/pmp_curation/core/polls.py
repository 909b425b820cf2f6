"""The row of `feed_polls` that each snapshot gets, with the totals of its body."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from pmp_curation.core.observation import Observed
from pmp_curation.core.snapshot import Snapshot


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
        "rejected_rows": len(observed.rejects),
        "detail": _detail(observed, detail),
    }


def _total(counts: Iterable[int | None]) -> int | None:
    """The sum of what is known; None where nothing is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _detail(observed: Observed, detail: str | None) -> str | None:
    parts = [detail] if detail else []
    if observed.duplicates:
        parts.append(f"{observed.duplicates} stations listed again, {observed.conflicts} of them differ")
    return "; ".join(parts) or None
