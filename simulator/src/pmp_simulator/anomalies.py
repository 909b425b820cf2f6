"""Faults of real feeds, on a seeded schedule, at given times, or on demand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from threading import Lock
from typing import Final

import msgspec

from pmp_simulator.chance import seeded

_DUPLICATED_ROWS: Final = 20
_RETRY_AFTER_S: Final = 5


class Kind(StrEnum):
    """An anomaly, as seen in captures and issue threads."""

    EMPTY = "empty"  # valid, fresh, and without stations: Boulder, 12 times in 48 h
    TRUNCATED = "truncated"  # cut off in the middle: the Vélib export, at byte 524,283
    FROZEN = "frozen"  # the last answer again, for minutes or hours
    DUPLICATE_IDS = "duplicate_ids"  # stations listed twice: Citi Bike
    HTML = "html"  # a page, with status 200
    TOO_MANY_REQUESTS = "too_many_requests"
    UNAVAILABLE = "unavailable"


# Minutes that one occurrence lasts, at least and at most; never above an hour.
_MINUTES: Final = {
    Kind.EMPTY: (1, 1),
    Kind.TRUNCATED: (1, 2),
    Kind.FROZEN: (5, 30),
    Kind.DUPLICATE_IDS: (1, 3),
    Kind.HTML: (1, 3),
    Kind.TOO_MANY_REQUESTS: (1, 3),
    Kind.UNAVAILABLE: (1, 5),
}


@dataclass(frozen=True, slots=True)
class Window:
    """An anomaly from `starts_at` until before `ends_at`, in simulated time."""

    kind: Kind
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a client.

    Attributes:
        retry_after_s: for a refusal, the Retry-After header.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    retry_after_s: int | None = None


_REFUSALS: Final[dict[Kind | None, Answer]] = {
    Kind.HTML: Answer(
        200,
        b"<!DOCTYPE html><html><body><h1>We will be back soon</h1></body></html>",
        "text/html; charset=utf-8",
    ),
    Kind.TOO_MANY_REQUESTS: Answer(429, b'{"message":"Too Many Requests"}', retry_after_s=_RETRY_AFTER_S),
    Kind.UNAVAILABLE: Answer(503, b"Service Unavailable", "text/plain", retry_after_s=_RETRY_AFTER_S),
}


class Anomalies:
    """The anomaly of a feed at a given time. Without arguments there are none until one is forced.

    Args:
        rate_per_hour: mean number of scheduled anomalies per simulated hour.
        seed: of that schedule.
        windows: further anomalies at given times; they take precedence over the schedule.
    """

    def __init__(self, *, rate_per_hour: float = 0.0, seed: int = 0, windows: Sequence[Window] = ()) -> None:
        self._rate_per_hour = rate_per_hour
        self._seed = seed
        self._windows = tuple(windows)
        self._forced: dict[str, tuple[Kind, int]] = {}
        self._lock = Lock()

    def force(self, feed: str, kind: Kind, polls: int) -> None:
        """Forces this anomaly for the next `polls` answers of a feed; 0 cancels it."""
        with self._lock:
            self._forced[feed] = (kind, polls)

    def take(self, feed: str, at: datetime) -> Kind | None:
        """The anomaly of the current answer; consumes one forced answer."""
        with self._lock:
            forced = self._forced.get(feed)
            if forced is not None and forced[1] > 0:
                self._forced[feed] = (forced[0], forced[1] - 1)
                return forced[0]
        return self.scheduled(at)

    def scheduled(self, at: datetime) -> Kind | None:
        """The scheduled anomaly at a time; the same at every call."""
        hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        earlier = self._hour(hour - timedelta(hours=1))  # one may last into the next hour
        windows = (*self._windows, *earlier, *self._hour(hour))
        return next((window.kind for window in windows if window.starts_at <= at < window.ends_at), None)

    def _hour(self, hour: datetime) -> list[Window]:
        rng = seeded("anomalies", self._seed, hour.isoformat())
        windows, at_s = [], 0.0
        while self._rate_per_hour > 0 and (at_s := at_s + rng.expovariate(self._rate_per_hour / 3600)) < 3600:
            kind = rng.choice(tuple(Kind))
            starts_at = (hour + timedelta(seconds=at_s)).replace(second=0, microsecond=0)
            windows.append(
                Window(kind, starts_at, starts_at + timedelta(minutes=rng.randint(*_MINUTES[kind])))
            )
        return windows


def apply(kind: Kind | None, body: bytes) -> Answer:
    """Applies an anomaly to a body. For a frozen feed, the caller passes the last good body.

    Raises:
        msgspec.DecodeError: the anomaly changes the stations, and the recorded body is not JSON.
    """
    if kind in _REFUSALS:
        return _REFUSALS[kind]
    if kind is Kind.TRUNCATED:
        return Answer(200, body[: len(body) * 3 // 5])
    if kind is Kind.EMPTY:
        return Answer(200, _with_stations(body, lambda _: []))
    if kind is Kind.DUPLICATE_IDS:
        return Answer(200, _with_stations(body, lambda rows: rows + rows[:_DUPLICATED_ROWS]))
    return Answer(200, body)


def _with_stations(body: bytes, change: Callable[[list[msgspec.Raw]], list[msgspec.Raw]]) -> bytes:
    document = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    data = msgspec.json.decode(document["data"], type=dict[str, msgspec.Raw])
    rows = change(msgspec.json.decode(data["stations"], type=list[msgspec.Raw]))
    return msgspec.json.encode(document | {"data": data | {"stations": rows}})
