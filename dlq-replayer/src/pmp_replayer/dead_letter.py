"""A dead letter as a replay sees it, whether it comes from the hold or from the table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from pmp_schema.dead_letter_row import dead_letter_row
from pmp_schema.dead_letters import DATA_CUT, original_attributes
from pmp_schema.message import Message

_ATTRIBUTES: Final = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message that a consumer gave up.

    Attributes:
        id: the same for every delivery of the same failure.
        reason: slug; see `pmp_schema.errors.Reason`.
        source_topic: topic id; None if unknown.
        data: the bytes as they were published; None if they were too large for the table's row or for the dead letter.
        attributes: of the original message, without those that dead-lettering added.
        replay_count: how often it has been replayed.
        published_at: when the original message was published, aware UTC.
    """

    id: str
    reason: str
    source_topic: str | None
    system_id: str | None
    data: bytes | None
    attributes: Mapping[str, str]
    replay_count: int
    published_at: datetime | None


def from_message(message: Message, now: datetime) -> Letter:
    """A message of the dead-letter topic, read by the rule that makes the table's row."""
    row = dead_letter_row(message, now)
    data = None if DATA_CUT in message.attributes else message.data
    return _letter(row, data=data, attributes=original_attributes(message.attributes))


def from_row(row: Mapping[str, Any]) -> Letter:
    """A row of `letters.sql`."""
    return _letter(row, data=row["data"], attributes=attributes(row))


def attributes(row: Mapping[str, Any]) -> dict[str, str]:
    """The original message's attributes, which the query returns as JSON text."""
    text = row["attributes"]
    return _ATTRIBUTES.decode(text) if text else {}


def _letter(row: Mapping[str, Any], *, data: bytes | None, attributes: Mapping[str, str]) -> Letter:
    return Letter(
        id=row["dead_letter_id"],
        reason=row["reason"],
        source_topic=row["source_topic"],
        system_id=row["system_id"],
        data=data,
        attributes=attributes,
        replay_count=row["replay_count"] or 0,
        published_at=row["original_publish_ts"],
    )
