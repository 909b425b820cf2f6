"""What a snapshot becomes, in the form in which it leaves the pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import msgspec

from pmp_curation.arrivals import Arrival
from pmp_curation.core import Curated, Notice
from pmp_runtime.pubsub.publisher import Outgoing, ops_event
from pmp_schema import events, snapshots
from pmp_schema.dead_letters import DeadLetter
from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.message import Message
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
        derived: for `pmp-sensor-events`.
        letters: for `pmp-dead-letters`.
        notices: for `pmp-ops-events`.
        polls: of `feed_polls`, none or one; last, because its presence says that all the rest is durable.
    """

    message: Message
    status_rows: Sequence[Row] = field(default_factory=list)
    derived: list[Outgoing] = field(default_factory=list)
    letters: list[Outgoing] = field(default_factory=list)
    notices: list[Outgoing] = field(default_factory=list)
    polls: Sequence[Row] = field(default_factory=list)


def outcome(arrived: Arrival, curated: Curated, now: datetime) -> Outcome:
    """What a curated snapshot becomes."""
    return Outcome(
        message=replace(arrived.message, data=b""),
        status_rows=curated.status_rows,
        derived=[_derived(event) for event in curated.sensor_events],
        letters=[
            dead_letter(arrived.message, part.data, part.reason, part.detail, now)
            for part in snapshots.rejected(arrived.envelope, curated.rejects)
        ],
        notices=[_notice(notice) for notice in curated.notices],
        polls=[curated.poll] if curated.poll else [],
    )


def given_up(message: Message, poison: PoisonMessage, now: datetime) -> Outcome:
    """What a message becomes that is no snapshot."""
    letter = dead_letter(message, message.data, poison.reason, poison.detail, now)
    return Outcome(message=replace(message, data=b""), letters=[letter])


def dead_letter(message: Message, data: bytes, reason: Reason, detail: str, now: datetime) -> Outgoing:
    """A message, or the part of it that is of no use, as a dead letter."""
    letter = DeadLetter(
        message=message,
        data=data,
        reason=reason,
        detail=detail,
        stage=STAGE,
        source_topic=TOPOLOGY.topics["snapshots"].id,
    )
    return Outgoing(*letter.published(now))


def _derived(event: dict[str, Any]) -> Outgoing:
    attributes = events.cloudevent_attributes(
        event_id=event["event_id"],
        event_type="sensor_event",
        source=SOURCE,
        time=parse_timestamp(event["ts_iso"]),
    )
    return Outgoing(msgspec.json.encode(event), attributes)


def _notice(notice: Notice) -> Outgoing:
    return ops_event(
        notice.type,
        source=SOURCE,
        subject=notice.system_id,
        data=notice.data,
        new_id=lambda: notice.id,
        at=notice.at,
    )
