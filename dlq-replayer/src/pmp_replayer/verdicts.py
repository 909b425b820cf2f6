"""Judges each topic and hour of publishing: did every published message become a row or a dead letter? Pure.

Publishers count the messages that Pub/Sub confirmed, but record no ids; so a missing message has no id here. Ids are
known only for the opposite: messages that arrived more than once, and events that were published again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, pairwise
from typing import Any, Final

from pmp_schema.timestamps import format_timestamp

HOUR: Final = timedelta(hours=1)
# An hour stays open this long after its end: messages are in flight, and counts are published once a minute.
SETTLING: Final = timedelta(minutes=5)


class Status(StrEnum):
    OK = "ok"
    OPEN = "open"
    MISSING = "missing"
    SURPLUS = "surplus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """The messages of one topic and hour.

    Attributes:
        hour: its start, UTC.
        published: confirmed to publishers that count.
        rows: messages that became rows; redeliveries do not count again.
        dead_letters: messages that became only dead letters.
        duplicates: those of `rows` with an event that an earlier message carried.
        edge: messages of the last seconds of the hour, which may have been counted in the next hour.
    """

    topic: str
    hour: datetime
    published: int = 0
    rows: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    edge: int = 0

    @property
    def excess(self) -> int:
        """Arrived minus published."""
        return self.rows + self.dead_letters - self.published


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Attributes:
    missing: published, but neither row nor dead letter: in flight or lost.
    surplus: arrived, but neither counted nor a duplicate: from a publisher that does not count.
    """

    hour: Hour
    missing: int
    surplus: int
    status: Status

    def as_json(self) -> dict[str, Any]:
        numbers = {name: value for name, value in asdict(self.hour).items() if name != "edge"}
        difference = {"missing": self.missing, "surplus": self.surplus, "status": str(self.status)}
        return {**numbers, "hour": format_timestamp(self.hour.hour), **difference}


def floor_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def closed_until(now: datetime) -> datetime:
    """The end of the last closed hour."""
    return floor_hour(now - SETTLING)


def judge(hours: Iterable[Hour], now: datetime) -> list[Verdict]:
    """One verdict per hour, ordered by topic and hour.

    If an hour lacks messages, those at the edge of the hour before fill the gap.
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
    """How many messages each hour counted that belong to the hour before: as few as fill its gap."""
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
