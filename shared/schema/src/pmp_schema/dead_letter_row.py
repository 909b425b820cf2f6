"""A dead letter as a row of `dead_letters`. Every message becomes a row: a dead letter must not fail again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from pmp_schema import dead_letters, events
from pmp_schema.errors import Reason
from pmp_schema.message import Message
from pmp_schema.tables import Row
from pmp_schema.timestamps import has_partition, try_parse_timestamp
from pmp_schema.topology import TOPOLOGY

# Data and attributes; the other columns need the rest of an append's 10 MB.
MAX_BYTES: Final = 9_900_000


def dead_letter_row(message: Message, now: datetime) -> Row:
    """The row of a message of the dead-letter topic; never raises."""
    given: Mapping[str, str] = message.attributes
    forwarded = f"{dead_letters.PUBSUB_PREFIX}SourceSubscription"
    reason = given.get(dead_letters.REASON) or (
        Reason.DELIVERY_ATTEMPTS if forwarded in given else Reason.UNKNOWN
    )
    subscription = given.get(dead_letters.SOURCE_SUBSCRIPTION) or given.get(forwarded)
    attempts = given.get(dead_letters.DELIVERY_ATTEMPTS) or given.get(
        f"{dead_letters.PUBSUB_PREFIX}SourceDeliveryCount"
    )
    published = given.get(dead_letters.ORIGINAL_PUBLISH_TIME) or given.get(
        f"{dead_letters.PUBSUB_PREFIX}SourceTopicPublishTime"
    )
    attributes = msgspec.json.encode(dead_letters.original_attributes(given))
    oversize = len(message.data) + len(attributes) > MAX_BYTES
    detail = given.get(dead_letters.DETAIL, "")
    if oversize and dead_letters.DATA_CUT not in given:
        detail = f"data of {len(message.data)} bytes is in the hold subscription only; {detail}"
    return {
        "dead_letter_id": given.get(dead_letters.ID) or message.message_id,
        "reason": str(reason),
        "detail": detail or None,
        "source_topic": given.get(dead_letters.SOURCE_TOPIC) or _topic_of(subscription),
        "source_subscription": subscription,
        "system_id": _system(given),
        "data": None if oversize else message.data,
        "attributes": attributes,
        "original_message_id": given.get(dead_letters.ORIGINAL_MESSAGE_ID) or message.message_id,
        "original_publish_ts": _live(try_parse_timestamp(published), now) or message.publish_ts,
        "delivery_attempts": _lenient_int(attempts),
        "replay_count": _lenient_int(given.get(dead_letters.REPLAY_COUNT)) or 0,
        "dead_lettered_ts": _live(try_parse_timestamp(given.get(dead_letters.AT)), now)
        or _live(message.publish_ts, now)
        or now,
    }


def _live(at: datetime | None, now: datetime) -> datetime | None:
    """The time, if BigQuery accepts rows for its day."""
    return at if at is not None and has_partition(at, now) else None


def _lenient_int(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 10 else None


def _topic_of(subscription: str | None) -> str | None:
    """The topic of a subscription: a message that Pub/Sub itself forwarded names only the subscription."""
    return next((s.topic.id for s in TOPOLOGY.subscriptions if s.id == subscription), None)


def _system(attributes: Mapping[str, str]) -> str | None:
    """The system of a snapshot is its source; the source of any other message is a service."""
    return attributes.get("ce-source") if attributes.get("ce-type") in events.EVENT_TYPES else None
