"""Polling: one system's feed, from discovery to a confirmed publish; and all systems side by side."""

import gzip
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any, Final, Literal, Protocol

from pmp_collector.config import System
from pmp_collector.fetch import Fetched, FetchFailed
from pmp_schema import events, gbfs
from pmp_schema.errors import PoisonMessage, PublishFailed
from pmp_schema.events import rfc3339
from pmp_schema.publisher import Outgoing, Publisher
from pmp_schema.topology import TOPOLOGY, Topic

logger = logging.getLogger(__name__)

Outcome = Literal["published", "unchanged", "failed"]
DISCOVERY_MAX_AGE_S: Final = 3600.0
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
GONE: Final = (404, 410)
MAX_WORKERS: Final = 32


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed to poll: its GBFS name, what its snapshots are called, where they go."""

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
    """What one poll did; see the HTTP contract."""

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


class Get(Protocol):
    """Fetches a URL; raises FetchFailed."""

    def __call__(self, url: str, validators: Mapping[str, str] | None = None) -> Fetched: ...


@dataclass(slots=True)
class _Memory:
    """What is known of one system's feed from its last published poll. Losing it costs one repeated snapshot."""

    lock: Lock = field(default_factory=Lock)
    validators: dict[str, str] = field(default_factory=dict)
    body_sha256: str | None = None
    polled_at: float = float("-inf")
    urls: dict[str, str] = field(default_factory=dict)
    urls_at: float = float("-inf")


class Poller:
    """Polls systems.

    Args:
        get: bounded HTTP GET.
        clock: monotonic seconds.
    """

    def __init__(
        self, systems: Sequence[System], get: Get, publisher: Publisher, clock: Callable[[], float]
    ) -> None:
        self._systems = {system.id: system for system in systems}
        self._get = get
        self._publisher = publisher
        self._clock = clock
        self._memory = {(system.id, feed): _Memory() for system in systems for feed in FEEDS}

    def poll(self, feed: str, system_id: str | None = None, *, only_due: bool = False) -> list[PollResult]:
        """Polls one system or all of them at the same time; a failing system never disturbs the others.

        Args:
            feed: a key of FEEDS.
            only_due: leave out systems whose own poll interval has not passed, as a schedule wants it.

        Raises:
            KeyError: no such system or feed.
        """
        systems = [self._systems[system_id]] if system_id else list(self._systems.values())
        if only_due:
            systems = [system for system in systems if self._is_due(system, feed)]
        if not systems:
            return []
        with ThreadPoolExecutor(max_workers=min(MAX_WORKERS, len(systems))) as pool:
            return list(pool.map(lambda system: self._poll_one(system, FEEDS[feed]), systems))

    def _is_due(self, system: System, feed: str) -> bool:
        # A schedule never fires to the second; a tenth of slack keeps a 60 s system at every 60 s tick.
        return self._clock() - self._memory[system.id, feed].polled_at >= 0.9 * system.poll_s

    def _poll_one(self, system: System, feed: Feed) -> PollResult:
        memory = self._memory[system.id, feed.name]
        with memory.lock:  # of two polls at the same time the second finds the feed unchanged
            try:
                return self._poll(system, feed, memory)
            except (FetchFailed, PoisonMessage, PublishFailed) as error:
                logger.warning(
                    "poll.failed", extra={"system": system.id, "feed": feed.name, "cause": str(error)}
                )
                return PollResult(system=system.id, feed=feed.name, outcome="failed", detail=str(error))

    def _poll(self, system: System, feed: Feed, memory: _Memory) -> PollResult:
        fetched = self._fetch(system, feed, memory)
        memory.polled_at = self._clock()
        if fetched.body is None:
            return PollResult(system=system.id, feed=feed.name, outcome="unchanged", detail="not modified")
        body = fetched.body.removeprefix(BYTE_ORDER_MARK).strip()  # no part of the JSON value
        body_sha256 = hashlib.sha256(body).hexdigest()
        if body_sha256 == memory.body_sha256:
            memory.validators = _validators(fetched.headers)
            return PollResult(system=system.id, feed=feed.name, outcome="unchanged", detail="same body")
        result = self._publish(system, feed, fetched, body)
        # Only now: a poll whose publish fails must find the feed changed again.
        memory.body_sha256 = body_sha256
        memory.validators = _validators(fetched.headers)
        return result

    def _fetch(self, system: System, feed: Feed, memory: _Memory) -> Fetched:
        try:
            return self._get(self._url(system, feed, memory), memory.validators)
        except FetchFailed as error:
            if error.status not in GONE or system.explicit_url(feed.name):
                raise
            memory.urls_at = float("-inf")  # the feed may have moved: ask the discovery again
            return self._get(self._url(system, feed, memory))

    def _url(self, system: System, feed: Feed, memory: _Memory) -> str:
        explicit = system.explicit_url(feed.name)
        if explicit:
            return explicit
        if system.discovery_url is None:
            raise FetchFailed(f"no URL for {feed.name}")
        if self._clock() - memory.urls_at > DISCOVERY_MAX_AGE_S:
            fetched = self._get(system.discovery_url)
            memory.urls = gbfs.feed_urls(gbfs.decode(fetched.body or b""), language=system.language)
            memory.urls_at = self._clock()
        if feed.name not in memory.urls:
            memory.urls_at = float("-inf")
            raise FetchFailed(f"{feed.name} is not listed by the discovery")
        return memory.urls[feed.name]

    def _publish(self, system: System, feed: Feed, fetched: Fetched, body: bytes) -> PollResult:
        document = gbfs.decode(body)
        stations = gbfs.station_count(document)
        if stations is None:
            raise FetchFailed("no list of stations in the body", fetched.status)
        feed_time = gbfs.feed_time(
            document, date_header=fetched.headers.get("date"), fetched_at=fetched.finished_at
        )
        event_id = events.snapshot_event_id(
            source=system.id, event_type=feed.event_type, event_ts=feed_time.at, payload=body
        )
        attributes = events.cloudevent_attributes(
            event_id=event_id, event_type=feed.event_type, source=system.id, time=feed_time.at
        ) | _provenance(fetched, feed_time.source)
        data = events.encode_snapshot(
            source=system.id,
            event_type=feed.event_type,
            payload=body,
            event_ts=feed_time.at,
            ingest_ts=fetched.finished_at,
        )
        if len(data) > events.GZIP_ABOVE_BYTES:
            data = gzip.compress(data, compresslevel=6, mtime=0)
            attributes["content-encoding"] = "gzip"
        (message_id,) = self._publisher.publish(feed.topic, [Outgoing(data, attributes)])
        return PollResult(
            system=system.id,
            feed=feed.name,
            outcome="published",
            stations=stations,
            bytes=len(body),
            message_id=message_id,
            feed_ts=rfc3339(feed_time.at),
        )


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    """The conditional headers of the next request."""
    names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
    return {names[name]: headers[name] for name in names if name in headers}


def _provenance(fetched: Fetched, feed_time_source: str) -> dict[str, str]:
    """How the body was had, as message attributes."""
    return {
        "feed-url": fetched.url[:1024],
        "feed-time-source": feed_time_source,
        "fetch-started": rfc3339(fetched.started_at),
        "fetch-finished": rfc3339(fetched.finished_at),
        **{
            f"http-{name}": fetched.headers[name][:1024]
            for name in ("etag", "last-modified")
            if name in fetched.headers
        },
    }
