"""A Pub/Sub message: pushed, pulled or read back from a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pmp_schema import events
from pmp_schema.errors import PoisonMessage, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One Pub/Sub message.

    Attributes:
        data: the bytes as published; gzip where the attribute `content-encoding` says so.
        publish_ts: aware UTC; None where unknown.
        subscription: id without project, or None.
        delivery_attempt: counted by Pub/Sub where a dead-letter policy exists, else None.
    """

    data: bytes
    message_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    publish_ts: datetime | None = None
    subscription: str | None = None
    delivery_attempt: int | None = None

    def body(self) -> bytes:
        """The data, inflated where the attribute `content-encoding` is gzip.

        Raises:
            PoisonMessage: bad_gzip, too_large.
        """
        if self.attributes.get("content-encoding", "").lower() == "gzip":
            return events.gunzip(self.data)
        if len(self.data) > events.MAX_MESSAGE_BYTES:
            raise PoisonMessage(Reason.TOO_LARGE, f"{len(self.data)} bytes")
        return self.data
