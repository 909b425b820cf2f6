"""The shape of a dead letter: original bytes and attributes, plus what went wrong, in `pmp-` attributes.

Pub/Sub's limits (https://cloud.google.com/pubsub/quotas): 100 attributes, keys of 256 and values of 1,024 bytes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pmp_schema.errors import Reason
from pmp_schema.message import Message
from pmp_schema.timestamps import format_timestamp

MAX_ATTRIBUTES: Final = 100
MAX_KEY_BYTES: Final = 256
MAX_VALUE_BYTES: Final = 1024
MAX_MESSAGE_BYTES: Final = 9_990_000
"""Data and attributes; the framing of the request needs the rest of Pub/Sub's 10 MB."""

REASON: Final = "pmp-reason"
DETAIL: Final = "pmp-detail"
STAGE: Final = "pmp-stage"
ID: Final = "pmp-dead-letter-id"
AT: Final = "pmp-dead-lettered-at"
SOURCE_TOPIC: Final = "pmp-source-topic"
SOURCE_SUBSCRIPTION: Final = "pmp-source-subscription"
ORIGINAL_MESSAGE_ID: Final = "pmp-original-message-id"
ORIGINAL_PUBLISH_TIME: Final = "pmp-original-publish-time"
DELIVERY_ATTEMPTS: Final = "pmp-delivery-attempts"
ATTRIBUTES_DROPPED: Final = "pmp-attributes-dropped"
DATA_CUT: Final = "pmp-data-cut"
REPLAY_COUNT: Final = "pmp-replay-count"

OURS: Final = frozenset(
    {
        REASON,
        DETAIL,
        STAGE,
        ID,
        AT,
        SOURCE_TOPIC,
        SOURCE_SUBSCRIPTION,
        ORIGINAL_MESSAGE_ID,
        ORIGINAL_PUBLISH_TIME,
        DELIVERY_ATTEMPTS,
        ATTRIBUTES_DROPPED,
        DATA_CUT,
    }
)
PUBSUB_PREFIX: Final = "CloudPubSubDeadLetter"  # of the attributes that Pub/Sub adds when it forwards


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message to give up, and why.

    Attributes:
        data: the original bytes, or the unusable part of them in the original envelope.
        stage: the consumer that gave it up, for example `writer/sensor-events`.
        source_topic: topic id.
    """

    message: Message
    data: bytes
    reason: Reason
    detail: str
    stage: str
    source_topic: str

    @property
    def id(self) -> str:
        """The same failure of the same message always has the same id."""
        parts = (
            self.source_topic,
            self.message.message_id,
            self.reason,
            hashlib.sha256(self.data).hexdigest(),
        )
        return "dl-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    def attributes(self, now: datetime) -> dict[str, str]:
        """The attributes to publish with: at most 100, within Pub/Sub's limits, valid UTF-8.

        The original attributes are kept, except for a few where there are nearly 100.
        """
        return self._attributes(now, self.detail)

    def published(self, now: datetime) -> tuple[bytes, dict[str, str]]:
        """Data and attributes within Pub/Sub's limits.

        A message of nearly 10 MB leaves no room for our attributes. Its data is then cut, and the detail has the
        length and the hash of all of it.
        """
        attributes = self.attributes(now)
        if len(self.data) + _size_bytes(attributes) <= MAX_MESSAGE_BYTES:
            return self.data, attributes
        digest = hashlib.sha256(self.data).hexdigest()
        whole = f"data of {len(self.data)} bytes with sha256 {digest} is cut; {self.detail}"
        attributes = self._attributes(now, whole, is_cut=True)
        return self.data[: MAX_MESSAGE_BYTES - _size_bytes(attributes)], attributes

    def _attributes(self, now: datetime, detail: str, *, is_cut: bool = False) -> dict[str, str]:
        message = self.message
        ours = {
            REASON: str(self.reason),
            ID: self.id,
            AT: format_timestamp(now),
            SOURCE_TOPIC: self.source_topic,
            SOURCE_SUBSCRIPTION: message.subscription,
            ORIGINAL_MESSAGE_ID: message.message_id,
            ORIGINAL_PUBLISH_TIME: format_timestamp(message.publish_ts) if message.publish_ts else None,
            DELIVERY_ATTEMPTS: str(message.delivery_attempt) if message.delivery_attempt else None,
            STAGE: self.stage,
            DETAIL: detail,
            DATA_CUT: "true" if is_cut else None,
        }
        kept = {name: truncate(value) for name, value in ours.items() if value}
        given = original_attributes(message.attributes)
        if self.data != message.data:
            given.pop("content-encoding", None)  # a part is published as plain JSON
        originals = {name: truncate(value) for name, value in given.items() if _is_key(name)}
        room = MAX_ATTRIBUTES - len(kept)
        if len(originals) > room:
            originals = dict(list(originals.items())[: room - 1])
        if len(originals) < len(given):
            kept[ATTRIBUTES_DROPPED] = str(len(given) - len(originals))
        return originals | kept


def _size_bytes(attributes: Mapping[str, str]) -> int:
    return sum(len(text.encode()) for pair in attributes.items() for text in pair)


def _is_key(name: str) -> bool:
    return 0 < len(name.encode("utf-8", "replace")) <= MAX_KEY_BYTES


def original_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes of the message before it became a dead letter."""
    return {
        name: value
        for name, value in attributes.items()
        if name not in OURS and not name.startswith(PUBSUB_PREFIX)
    }


def truncate(value: str, limit_bytes: int = MAX_VALUE_BYTES) -> str:
    """The longest prefix that fits the limit in UTF-8 without cutting a character; lone surrogates become `?`."""
    return value.encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore")
