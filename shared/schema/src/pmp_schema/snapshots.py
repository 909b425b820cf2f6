"""A received snapshot: a message with the feed body that it carries, decoded once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from pmp_schema import events
from pmp_schema.errors import Reason
from pmp_schema.gbfs import RejectedStation
from pmp_schema.message import Message
from pmp_schema.timestamps import live_timestamp


@dataclass(frozen=True, slots=True)
class RejectedPart:
    """The parts of a message that cannot become rows, for one reason.

    Attributes:
        data: these parts in the envelope of their message, so that they can be published again.
    """

    data: bytes
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class ReceivedSnapshot:
    """A message with the snapshot that it carries.

    Attributes:
        payload: the feed body as it was fetched.
        event_ts: the feed's own time, aware; None where the publisher did not set it.
        event_id: set by the publisher, or made by the same rule.
    """

    message: Message
    envelope: events.SnapshotEnvelope
    payload: bytes
    event_ts: datetime | None
    event_id: str

    @property
    def system_id(self) -> str:
        return self.envelope.source

    def with_stations(self, stations: list[Any]) -> bytes:
        """Message data of the same snapshot with only these stations, so that they can be replayed alone."""
        envelope = self.envelope
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

    def rejected_parts(self, stations: Iterable[RejectedStation]) -> list[RejectedPart]:
        """The rejected stations of this snapshot, as one part for each reason."""
        by_reason: dict[Reason, list[RejectedStation]] = {}
        for station in stations:
            by_reason.setdefault(station.reason, []).append(station)
        return [
            RejectedPart(
                self.with_stations([station.raw for station in group]),
                reason,
                f"{len(group)} stations; first: {group[0].detail}",
            )
            for reason, group in by_reason.items()
        ]


def receive_snapshot(message: Message, now: datetime) -> ReceivedSnapshot:
    """Decodes the snapshot of a message.

    Raises:
        PoisonMessage: the envelope is missing or too large, or its `event_ts` is not a possible time.
    """
    envelope = events.decode_snapshot(message.body())
    payload = bytes(envelope.payload)
    event_ts = live_timestamp(envelope.event_ts, now) if envelope.event_ts else None
    event_id = message.attributes.get("ce-id") or events.snapshot_event_id(
        source=envelope.source, event_type=envelope.event_type, event_ts=event_ts, payload=payload
    )
    return ReceivedSnapshot(message, envelope, payload, event_ts, event_id)
