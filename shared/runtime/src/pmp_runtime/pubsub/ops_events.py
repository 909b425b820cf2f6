"""Ops events as messages: CloudEvents in their JSON format, for `pmp-ops-events`."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema.timestamps import format_timestamp


def ops_event(
    event_type: str,
    *,
    source: str,
    data: Mapping[str, Any],
    subject: str | None = None,
    new_id: Callable[[], str] = lambda: uuid4().hex,
    at: datetime | None = None,
) -> Outgoing:
    """An operational event as a message: a CloudEvent in its JSON format, with the same attributes.

    Args:
        at: when it happened, aware; now by default.
    """
    event = {
        "specversion": "1.0",
        "id": new_id(),
        "type": event_type,
        "source": source,
        "time": format_timestamp(at or datetime.now(UTC)),
        "datacontenttype": "application/json",
        "data": data,
    }
    if subject is not None:
        event["subject"] = subject
    attributes = {f"ce-{name}": str(event[name]) for name in ("specversion", "id", "type", "source", "time")}
    return Outgoing(msgspec.json.encode(event), attributes)
