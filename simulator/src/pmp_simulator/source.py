"""What the feed server serves: the simulated city or a recording."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Feed:
    """One file of a system.

    Attributes:
        body: its bytes as served.
        changed_at: simulated time of its content.
    """

    body: bytes
    changed_at: datetime


class FeedSource(Protocol):
    """A system whose files change as (simulated) time goes by. Called from several threads."""

    def names(self) -> tuple[str, ...]:
        """The feeds that exist, without `.json`."""
        ...

    def now(self) -> datetime: ...

    def feed(self, name: str, base_url: str) -> Feed:
        """The current content of a feed.

        Args:
            name: one of `names()`.
            base_url: the server's URL, without a slash at the end.

        Raises:
            KeyError: there is no such feed.
        """
        ...

    def truth(self, since: datetime | None, until: datetime | None) -> Iterator[bytes] | None:
        """Lines of moves with `since < at <= until`; None if the source has no truth."""
        ...
