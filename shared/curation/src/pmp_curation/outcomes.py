"""What a snapshot becomes, in the form in which it leaves the curation."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import msgspec

from pmp_curation.core import Curated, FeedEvent
from pmp_runtime.pubsub.ops_events import ops_event
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema import events
from pmp_schema.dead_letters import DeadLetter
from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.message import Message
from pmp_schema.snapshots import ReceivedSnapshot
from pmp_schema.tables import Row
from pmp_schema.timestamps import parse_timestamp
from pmp_schema.topology import TOPOLOGY

STAGE: Final = "beam/curate_status"
SOURCE: Final = "pmp-beam"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one message becomes, in the order in which it has to be made durable.

    Attributes:
        message: without its data, half a megabyte that nothing needs any more.
        status_rows: of `station_status`.
        rides: for `pmp-sensor-events`.
        dead_letters: for `pmp-dead-letters`.
        ops_events: for `pmp-ops-events`.
        polls: rows of `feed_polls`, none or one; last, because a poll row says that all the rest is durable.
    """

    message: Message
    status_rows: Sequence[Row] = field(default_factory=list)
    rides: list[Outgoing] = field(default_factory=list)
    dead_letters: list[Outgoing] = field(default_factory=list)
    ops_events: list[Outgoing] = field(default_factory=list)
    polls: Sequence[Row] = field(default_factory=list)


def outcome(received: ReceivedSnapshot, curated: Curated, now: datetime) -> Outcome:
    """What a curated snapshot becomes."""
    message = received.message
    return Outcome(
        message=replace(message, data=b""),
        status_rows=curated.status_rows,
        rides=[_ride(ride) for ride in curated.rides],
        dead_letters=[
            dead_letter(message, part.data, part.reason, part.detail, now)
            for part in received.rejected_parts(curated.rejected)
        ],
        ops_events=[_ops_event(event) for event in curated.feed_events],
        polls=[curated.poll] if curated.poll else [],
    )


def given_up(message: Message, poison: PoisonMessage, now: datetime) -> Outcome:
    """What a message becomes that cannot be curated."""
    letter = dead_letter(message, message.data, poison.reason, poison.detail, now)
    return Outcome(message=replace(message, data=b""), dead_letters=[letter])


def dead_letter(message: Message, data: bytes, reason: Reason, detail: str, now: datetime) -> Outgoing:
    """A message, or its unusable part, as a dead letter."""
    letter = DeadLetter(
        message=message,
        data=data,
        reason=reason,
        detail=detail,
        stage=STAGE,
        source_topic=TOPOLOGY.topics["snapshots"].id,
    )
    return Outgoing(*letter.published(now))


def _ride(ride: dict[str, Any]) -> Outgoing:
    attributes = events.cloudevent_attributes(
        event_id=ride["event_id"],
        event_type="sensor_event",
        source=SOURCE,
        time=parse_timestamp(ride["ts_iso"]),
    )
    return Outgoing(msgspec.json.encode(ride), attributes)


def _ops_event(event: FeedEvent) -> Outgoing:
    return ops_event(
        event.type,
        source=SOURCE,
        subject=event.system_id,
        data=event.data,
        new_id=lambda: event.id,
        at=event.at,
    )
