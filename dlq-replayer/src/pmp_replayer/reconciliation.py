"""Is everything that was published a row or a dead letter? Judged by topic and hour of publishing.

Publishers announce how many messages Pub/Sub confirmed, never which; so a missing message has no id here. What is
known by id is the other side: messages that arrived more than once, and events that were published again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, pairwise
from typing import Any, Final

from pmp_schema import timestamps
from pmp_schema.timestamps import format_timestamp

HOUR: Final = timedelta(hours=1)
# After its end an hour stays open this long: messages are on their way and counts are announced once a minute.
SETTLING: Final = timedelta(minutes=5)


class Status(StrEnum):
    OK = "ok"
    OPEN = "open"
    MISSING = "missing"
    SURPLUS = "surplus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What is known of one topic and hour; numbers of messages.

    Attributes:
        hour: its begin, UTC.
        published: confirmed to publishers that count.
        rows: messages that became rows, each once however often it was delivered.
        dead_letters: messages that became only dead letters.
        duplicates: how many of the rows' messages carry an event that an earlier message carried.
        edge: messages of the last seconds of the hour, which may have been counted in the next.
    """

    topic: str
    hour: datetime
    published: int
    rows: int
    dead_letters: int
    duplicates: int
    edge: int = 0

    @property
    def excess(self) -> int:
        """Arrived less published."""
        return self.rows + self.dead_letters - self.published


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A message that arrived more than once, or whose event had been published before.

    Attributes:
        event: id of what it carries; for sensor events date/station/id.
        deliveries: how often it became rows.
        published_again: an earlier message carries the same event.
    """

    topic: str
    publish_ts: datetime
    message_id: str
    event: str
    deliveries: int
    published_again: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"publish_ts": format_timestamp(self.publish_ts)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An hour with its difference.

    Attributes:
        missing: published, and neither row nor dead letter: still on its way, or lost.
        surplus: arrived, and neither counted nor a duplicate: of a publisher that does not count.
    """

    hour: Hour
    missing: int
    surplus: int
    status: Status

    def as_json(self) -> dict[str, Any]:
        numbers = {name: value for name, value in asdict(self.hour).items() if name != "edge"}
        difference = {"missing": self.missing, "surplus": self.surplus, "status": str(self.status)}
        return {**numbers, "hour": format_timestamp(self.hour.hour), **difference}


def parse_since(text: str, now: datetime) -> datetime:
    """`90m`, `1.5h`, `7d`, or an RFC 3339 time.

    Raises:
        ValueError: neither, or not in the past.
    """
    try:
        at = timestamps.parse_since(text, now)
    except ValueError as error:
        raise ValueError(f"since {text}: must be like 90m, 24h, 7d or 2026-01-24T16:00:00Z") from error
    if at >= now:
        raise ValueError(f"since {text}: must be in the past")
    return at


def floor_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def closed_until(now: datetime) -> datetime:
    """The end of the last hour whose messages have had their time to arrive."""
    return floor_hour(now - SETTLING)


def judge(hours: Iterable[Hour], now: datetime) -> list[Verdict]:
    """A verdict for each hour, in the order of topic and hour.

    An hour that lacks messages is given those of the hour before that may have been counted in it.
    """
    ordered = sorted(hours, key=lambda hour: (hour.topic, hour.hour))
    return [
        verdict for _, of_topic in groupby(ordered, lambda h: h.topic) for verdict in _judge([*of_topic], now)
    ]


def _judge(hours: Sequence[Hour], now: datetime) -> list[Verdict]:
    taken = _taken_from_the_hour_before(hours)
    verdicts: list[Verdict] = []
    for index, hour in enumerate(hours):
        given = taken[index + 1] if index + 1 < len(hours) else 0
        excess = hour.excess + taken[index] - given
        missing, surplus = max(-excess, 0), max(excess - hour.duplicates, 0)
        status = Status.MISSING if missing else Status.SURPLUS if surplus else Status.OK
        if hour.hour >= closed_until(now):
            status = Status.OPEN
        verdicts.append(Verdict(hour=hour, missing=missing, surplus=surplus, status=status))
    return verdicts


def _taken_from_the_hour_before(hours: Sequence[Hour]) -> list[int]:
    """How many messages each hour counted that were published in the one before; as few as explain what it lacks."""
    available = [0]
    for before, hour in pairwise(hours):
        adjacent = hour.hour - before.hour == HOUR
        spare = min(max(before.excess + available[-1], 0), before.edge)
        available.append(spare if adjacent else 0)
    taken = [0] * (len(hours) + 1)
    for index in reversed(range(len(hours))):
        needed = taken[index + 1] - hours[index].excess
        taken[index] = min(max(needed, 0), available[index])
    return taken[: len(hours)]
