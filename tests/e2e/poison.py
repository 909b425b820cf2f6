"""Sensor events, and messages of every kind that the writer cannot use."""

import gzip
import json
from datetime import UTC, datetime
from typing import Any


def event(event_id: str, **changes: Any) -> bytes:
    fields = {
        "event_id": event_id,
        "station_id": "A_101",
        "ts_iso": datetime.now(UTC).isoformat(),
        "kind": "pickup",
        "delta": 1,
    }
    return json.dumps(fields | changes).encode()


def poison(event_id: str) -> dict[str, bytes]:
    """A message for each reason of a dead letter."""
    good = event(event_id)
    return {
        "empty": b"",
        "not_utf8": good.replace(b"A_101", b"\xff"),
        "not_json": good[:-1],
        "too_deep": good[:-1] + b',"extra":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        "schema": event(event_id, delta="1"),
        "unknown_kind": event(event_id, kind="stolen"),
        "timestamp_invalid": event(event_id, ts_iso="yesterday"),
        "timestamp_out_of_range": event(event_id, ts_iso="9999-01-01T00:00:00Z"),
        "bad_gzip": gzip.compress(good)[:-6],
        "too_large": event(event_id, filler="x" * 9_100_000),
    }


def attributes(reason: str, mark: str) -> dict[str, str]:
    """Marks a message; a gzipped one says so."""
    return {"test": mark} | ({"content-encoding": "gzip"} if reason == "bad_gzip" else {})
