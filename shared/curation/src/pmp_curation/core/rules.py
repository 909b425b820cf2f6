"""The few numbers of the curation, all in time of the feed."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is due, and what is doubted.

    Attributes:
        heartbeat: a station that did not change has a row this long after its last one. It bounds how far a
            reader of the history has to look back.
        forget_after: a station whose last row is this old counts as never seen. As long as a warm start looks
            back, so that a state that was kept and one that was built again decide alike.
        missing_share: a snapshot that lacks more than this share of the stations of the last accepted one is
            suspect.
        shrunk_for: non-empty snapshots that lack so many are accepted once they have come for this long.
            The blips that were measured are single polls; a city that closes a third of its stations is not.
        remembered_events: how many snapshots are recognised when they come again: a day of minutes. An older
            one is out of order.
        max_absent: how many stations are remembered that the last accepted snapshot did not list.
    """

    heartbeat: timedelta = timedelta(minutes=60)
    forget_after: timedelta = timedelta(days=7)
    missing_share: float = 0.2
    shrunk_for: timedelta = timedelta(minutes=30)
    remembered_events: int = 1440
    max_absent: int = 5000


DEFAULT_RULES = Rules()
