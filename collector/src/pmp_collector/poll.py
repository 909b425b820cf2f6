"""Polls feeds: finds the URL, fetches the body, skips it if unchanged, publishes it; all systems in parallel."""

import hashlib
import logging
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any, Final, Literal

from pmp_collector.config import System
from pmp_collector.discovery import Discovery, Get
from pmp_collector.fetch import Fetched, FetchFailed
from pmp_collector.snapshot_message import snapshot_message
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema import events
from pmp_schema.errors import PoisonMessage, PublishFailed
from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import TOPOLOGY, Topic

logger = logging.getLogger(__name__)

Outcome = Literal["published", "unchanged", "failed"]
GONE: Final = (404, 410)
MAX_WORKERS: Final = 32
LONGEST_BUSY_S: Final = 30.0
LONGEST_PAUSE_S: Final = 3600.0


class UnknownSystem(Exception):
    """The feeds file has no system with this id."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed to poll: its GBFS name, and the event type and topic of its snapshots."""

    name: str
    event_type: str
    topic: Topic


FEEDS: Final[Mapping[str, Feed]] = {
    "station_status": Feed("station_status", events.STATION_STATUS, TOPOLOGY.topics["snapshots"]),
    "station_information": Feed(
        "station_information", events.STATION_INFORMATION, TOPOLOGY.topics["station-information"]
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PollResult:
    """The outcome of one poll, as `POST /collect` returns it."""

    system: str
    feed: str
    outcome: Outcome
    stations: int | None = None
    bytes: int | None = None
    message_id: str | None = None
    feed_ts: str | None = None
    detail: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _Memory:
    """What the last polls of one system's feed have left. Losing it costs one repeated snapshot.

    Attributes:
        url, validators, body_sha256: of the last body that was published or unchanged.
        polled_at: start of the last poll that did not fail, seconds of the clock.
        paused_until: end of the server's Retry-After, seconds of the clock.
    """

    lock: Lock = field(default_factory=Lock)
    url: str | None = None
    validators: dict[str, str] = field(default_factory=dict)
    body_sha256: str | None = None
    polled_at: float = float("-inf")
    paused_until: float = float("-inf")


class Poller:
    """Args:
    get: `Fetcher.get`.
    clock: monotonic seconds.
    longest_busy_s: how long a poll waits for an earlier poll of the same feed.
    """

    def __init__(
        self,
        systems: Sequence[System],
        get: Get,
        publisher: Publisher,
        clock: Callable[[], float],
        *,
        longest_busy_s: float = LONGEST_BUSY_S,
    ) -> None:
        self._systems = {system.id: system for system in systems}
        self._get = get
        self._publisher = publisher
        self._clock = clock
        self._longest_busy_s = longest_busy_s
        self._discoveries = {system.id: Discovery(system, get, clock) for system in systems}
        self._memory = {(system.id, feed): _Memory() for system in systems for feed in FEEDS}

    def poll(self, feed: str, system_id: str | None = None, *, only_due: bool = False) -> list[PollResult]:
        """Polls one system, or all in parallel; a failing system never affects the others.

        Args:
            feed: a key of FEEDS.
            only_due: skip systems whose poll interval has not passed yet; set for scheduled requests.

        Raises:
            UnknownSystem: the feeds file has no such system.
        """
        if system_id is not None and system_id not in self._systems:
            raise UnknownSystem(system_id)
        systems = [self._systems[system_id]] if system_id else list(self._systems.values())
        if only_due:
            systems = [system for system in systems if self._is_due(system, feed)]
        if not systems:
            return []
        with ThreadPoolExecutor(max_workers=min(MAX_WORKERS, len(systems))) as pool:
            # Each thread logs with the request's trace.
            polls = [
                pool.submit(copy_context().run, self._poll_one, system, FEEDS[feed]) for system in systems
            ]
        return [poll.result() for poll in polls]

    def _is_due(self, system: System, feed: str) -> bool:
        memory = self._memory[system.id, feed]
        now = self._clock()
        # Schedules are not exact to the second; a slack of a tenth polls a 60 s system at every 60 s tick.
        return now >= memory.paused_until and now - memory.polled_at >= 0.9 * system.poll_s

    def _poll_one(self, system: System, feed: Feed) -> PollResult:
        memory = self._memory[system.id, feed.name]
        # The second of two simultaneous polls finds the feed unchanged. Its wait is bounded: polls of a system that
        # takes longer than its interval would pile up and leave no thread for the others.
        if not memory.lock.acquire(timeout=self._longest_busy_s):
            return self._failed(system, feed, "an earlier poll of this feed is still running")
        try:
            return self._poll(system, feed, memory)
        except (FetchFailed, PoisonMessage, PublishFailed) as error:
            if isinstance(error, FetchFailed) and error.retry_after_s:
                memory.paused_until = self._clock() + min(error.retry_after_s, LONGEST_PAUSE_S)
            return self._failed(system, feed, str(error))
        finally:
            memory.lock.release()

    def _failed(self, system: System, feed: Feed, cause: str) -> PollResult:
        logger.warning("poll.failed", extra={"system": system.id, "feed": feed.name, "cause": cause})
        return PollResult(system=system.id, feed=feed.name, outcome="failed", detail=cause)

    def _poll(self, system: System, feed: Feed, memory: _Memory) -> PollResult:
        started_at = self._clock()
        url, fetched = self._fetch(system, feed, memory)
        if fetched.body is None:
            result = PollResult(system=system.id, feed=feed.name, outcome="unchanged", detail="not modified")
        else:
            body = fetched.body.removeprefix(BOM_UTF8).strip()  # not part of the JSON value
            body_sha256 = hashlib.sha256(body).hexdigest()
            if body_sha256 == memory.body_sha256:
                result = PollResult(system=system.id, feed=feed.name, outcome="unchanged", detail="same body")
            else:
                result = self._publish(system, feed, fetched, body)
            # Only after the publish: if it fails, the next poll must find the feed changed.
            memory.url, memory.body_sha256 = url, body_sha256
            memory.validators = _validators(fetched.headers)
        memory.polled_at = started_at
        return result

    def _fetch(self, system: System, feed: Feed, memory: _Memory) -> tuple[str, Fetched]:
        discovery = self._discoveries[system.id]
        configured = discovery.configured(feed.name)
        url = discovery.url(feed.name)
        validators = memory.validators if memory.url == url else None  # another server does not know them
        try:
            return url, self._get(url, validators, configured=configured)
        except FetchFailed as error:
            if error.status not in GONE:
                raise
            moved_to = discovery.url_after(url, feed.name)
            if moved_to is None:
                raise
        return moved_to, self._get(moved_to, configured=configured)

    def _publish(self, system: System, feed: Feed, fetched: Fetched, body: bytes) -> PollResult:
        snapshot = snapshot_message(system, event_type=feed.event_type, fetched=fetched, body=body)
        (message_id,) = self._publisher.publish(feed.topic, [snapshot.message])
        return PollResult(
            system=system.id,
            feed=feed.name,
            outcome="published",
            stations=snapshot.stations,
            bytes=len(body),
            message_id=message_id,
            feed_ts=format_timestamp(snapshot.feed_at),
        )


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    """The conditional headers of the next request."""
    names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
    given = {names[name]: headers[name] for name in names if name in headers}
    return {name: value for name, value in given.items() if value.isascii()}  # a header cannot carry others
