"""What a client requests: which dead letters to replay, how fast, with which fixes."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pmp_replayer.dead_letter import Letter
from pmp_replayer.fixes import Fix


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /replay`.

    Attributes:
        reason: only dead letters with this reason; None for any, as with the other criteria.
        source_topic: topic id.
        system: system id; only snapshots have one.
        published_after: the original message was published then or later; UTC unless it has an offset.
        published_before: the original message was published before.
        limit: maximum number of replayed dead letters.
        rate_per_s: dead letters per second.
        dry_run: only report what a replay would do.
        max_replays: a dead letter that has been replayed this often stays where it is.
        source: the hold subscription (7 days, each dead letter once) or the table (any age).
        stop_share: the replay stops when more than this share of what it replayed has come back.
        fixes: applied to each body in this order.
    """

    reason: str | None = None
    source_topic: str | None = None
    system: str | None = None
    published_after: datetime | None = None
    published_before: datetime | None = None
    limit: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    rate_per_s: Annotated[float, Meta(gt=0)] = 100.0
    dry_run: bool = False
    max_replays: Annotated[int, Meta(ge=1, le=1000)] = 3
    source: Literal["hold", "table"] = msgspec.field(default="hold", name="from")
    stop_share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    fixes: Annotated[tuple[Fix, ...], Meta(max_length=100)] = ()

    def __post_init__(self) -> None:
        for name in ("published_after", "published_before"):
            at = getattr(self, name)
            if at is not None and at.tzinfo is None:
                msgspec.structs.force_setattr(self, name, at.replace(tzinfo=UTC))

    def matches(self, letter: Letter) -> bool:
        """Whether the dead letter meets all criteria; the same rule as the WHERE clause of `letters.sql`."""
        return (
            self.reason in {None, letter.reason}
            and self.source_topic in {None, letter.source_topic}
            and self.system in {None, letter.system_id}
            and self._in_time(letter.published_at)
        )

    def _in_time(self, at: datetime | None) -> bool:
        if at is None:
            return self.published_after is None and self.published_before is None
        return (self.published_after is None or self.published_after <= at) and (
            self.published_before is None or at < self.published_before
        )
