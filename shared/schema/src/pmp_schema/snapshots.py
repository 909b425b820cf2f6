"""A message that carries a snapshot: opened, and made again of a part of its stations."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from pmp_schema import events, gbfs
from pmp_schema.errors import Reason
from pmp_schema.message import Message
from pmp_schema.timestamps import live_timestamp


@dataclass(frozen=True, slots=True)
class Opened:
    """What a snapshot's message says.

    Attributes:
        payload: the feed body as it was fetched.
        event_ts: the feed's own time, aware; None where the publisher does not tell it.
        event_id: given by the publisher, or made by the same rule.
    """

    envelope: events.SnapshotEnvelope
    payload: bytes
    event_ts: datetime | None
    event_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The parts of a message that are no rows, for one reason.

    Attributes:
        data: the parts in the envelope of their message, so that they can be published again.
    """

    data: bytes
    reason: Reason
    detail: str


def open_snapshot(message: Message, now: datetime) -> Opened:
    """Opens a snapshot's message.

    Raises:
        PoisonMessage: no envelope, too large, or a time that is none.
    """
    envelope = events.decode_snapshot(message.body())
    payload = bytes(envelope.payload)
    event_ts = live_timestamp(envelope.event_ts, now) if envelope.event_ts else None
    event_id = message.attributes.get("ce-id") or events.snapshot_event_id(
        source=envelope.source, event_type=envelope.event_type, event_ts=event_ts, payload=payload
    )
    return Opened(envelope, payload, event_ts, event_id)


def rejected(envelope: events.SnapshotEnvelope, rejects: list[gbfs.Reject]) -> list[Rejected]:
    """The entries that are no station, as one part for each reason."""
    by_reason: dict[Reason, list[gbfs.Reject]] = {}
    for reject in rejects:
        by_reason.setdefault(reject.reason, []).append(reject)
    return [
        Rejected(
            with_stations(envelope, [reject.raw for reject in group]),
            reason,
            f"{len(group)} stations; first: {group[0].detail}",
        )
        for reason, group in by_reason.items()
    ]


def with_stations(envelope: events.SnapshotEnvelope, stations: list[Any]) -> bytes:
    """The same snapshot with only some of its stations: what is published for them can be replayed alone."""
    return msgspec.json.encode(
        {
            "ingest_ts": envelope.ingest_ts,
            "event_ts": envelope.event_ts,
            "source": envelope.source,
            "event_type": envelope.event_type,
            "key": envelope.key,
            "payload": {"data": {"stations": stations}},
        }
    )
