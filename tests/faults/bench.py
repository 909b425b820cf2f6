"""The writer's process between a push broker and a strict BigQuery, and the invariant that every fault is judged by.

broker --push--> gunicorn, pmp_writer --gRPC--> Storage Write fake
  ^                   |
  +--- PubSubProxy <--+ dead letters, operational events
"""

import itertools
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from grpc import StatusCode

from pmp_schema import tables
from pmp_schema.topology import TOPOLOGY
from pmp_writer.config import Config
from pmp_writer.sinks import WRITTEN, table_path
from tests.fakes.pubsub_proxy import PubSubProxy
from tests.fakes.push_broker import Published, PushBroker
from tests.fakes.server_process import ServerProcess
from tests.fakes.storage_write import Answer, Row, StorageWriteServer

PROJECT = "pmp-test"
PATHS = {name: table_path(Config(project=PROJECT), name) for name in WRITTEN}
EVENTS, SNAPSHOTS, INFORMATION, OPS, DEAD = (
    TOPOLOGY.topics[key].id
    for key in ("sensor-events", "snapshots", "station-information", "ops-events", "dead-letters")
)
OUTSTANDING = 60  # fewer than the writer takes at a time
SOURCES = (EVENTS, SNAPSHOTS, INFORMATION)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of a fault.

    Attributes:
        messages: of a burst.
        soak: messages of a round of the long run.
        outage_s, brief_s: how long something is down.
        rate_per_s: messages per second while it is.
        writer: variables of the writer.
    """

    name: str
    messages: int
    soak: int
    outage_s: float
    brief_s: float
    rate_per_s: float
    writer: dict[str, str]

    @property
    def is_long(self) -> bool:
        return self.name == "long"


SHORT = Scale(
    name="short",
    messages=200,
    soak=200,
    outage_s=3,
    brief_s=1.5,
    rate_per_s=60,
    writer={"WRITER_APPEND_TIMEOUT_S": "4", "WRITER_PUBLISH_TIMEOUT_S": "2"},
)
LONG = Scale(name="long", messages=1000, soak=10_000, outage_s=30, brief_s=10, rate_per_s=120, writer={})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of everything that was published.

    Attributes:
        messages: message ids, those of dead letters not counted.
        duplicates: rows that the unique view leaves out.
        lost: message ids that are neither rows nor dead letters.
        dead: the rows of `pmp_ops.dead_letters`, one per dead letter.
        recovery: from the end of the outage until all had arrived, as a share of the outage.
    """

    messages: int
    duplicates: int
    lost: frozenset[str]
    dead: tuple[Row, ...]
    recovery: float | None = None

    @property
    def reasons(self) -> list[object]:
        return sorted(str(row["reason"]) for row in self.dead)


class Bench:
    """Attributes:
    pubsub: stands between services and the broker's Publish.
    chance: the same in every run.
    """

    def __init__(
        self,
        scale: Scale,
        broker: PushBroker,
        pubsub: PubSubProxy,
        storage: StorageWriteServer,
        writer: ServerProcess,
    ) -> None:
        self.scale, self.broker, self.pubsub, self.storage, self.writer = (
            scale,
            broker,
            pubsub,
            storage,
            writer,
        )
        self.outcomes: list[Outcome] = []
        self.begin()

    def begin(self) -> None:
        """Everything is whole, and nothing has been published."""
        storage = self.storage
        storage.script.clear()
        storage.latency_s, storage.denied = 0.0, False
        storage.rule, storage.reject_row = (lambda rows: None), (lambda row: None)
        storage.refuse_row, storage.kill_row = (lambda row: False), (lambda row: False)
        self.pubsub.faults.next.clear()
        self.pubsub.faults.rule = lambda call: None
        self.pubsub.faults.done.clear()
        self.broker.url, self.broker.outstanding = self.writer.url, OUTSTANDING
        if not self.writer.as_configured:
            self.writer.restart()
        self.broker.forget()
        for rows in storage.committed.values():
            rows.clear()
        storage.requests.clear()
        self.run = uuid4().hex[:8]
        self.chance = random.Random(20260124)
        self.recovery: float | None = None
        self._events = 0

    # What is published.

    def event(self, **changes: Any) -> dict[str, Any]:
        self._events += 1
        return {
            "event_id": f"{self.run}-{self._events}",
            "station_id": f"S-{self._events % 40}",
            "ts_iso": datetime.now(UTC).isoformat(),
            "kind": ("pickup", "dropoff")[self._events % 2],
            "delta": 1 + self._events % 5,
        } | changes

    def publish(self, messages: int, *, copies: int = 1, **changes: Any) -> list[str]:
        """Good sensor events; returns the message ids."""
        return [
            self.broker.publish(EVENTS, json.dumps(self.event(**changes)).encode(), copies=copies)
            for _ in range(messages)
        ]

    def poison(self, messages: int) -> list[str]:
        return [self.broker.publish(EVENTS, b"poison %d" % n) for n in range(messages)]

    def keep_publishing(
        self, seconds: float, rate_per_s: float | None = None, *, poison_every: int = 0
    ) -> None:
        """An even stream for so long; every so many messages one that is poison."""
        pause_s = 1 / (rate_per_s or self.scale.rate_per_s)
        began_s = due_s = time.monotonic()
        count = 0
        while due_s < began_s + seconds:
            time.sleep(max(0.0, due_s - time.monotonic()))
            count += 1
            if poison_every and count % poison_every == 0:
                self.poison(1)
            else:
                self.publish(1)
            due_s += pause_s

    # What happens to it.

    @contextmanager
    def every_append(self, *faults: Any) -> Iterator[None]:
        """Each append request of the block gets one of these faults."""
        with self._rule(lambda rows: self.chance.choice(faults)):
            yield

    @contextmanager
    def scarce_quota(self, requests: int = 5) -> Iterator[None]:
        """Of so many append requests one is taken, the others are RESOURCE_EXHAUSTED."""
        turns = itertools.count()
        refusal = Answer(StatusCode.RESOURCE_EXHAUSTED)
        with self._rule(lambda rows: refusal if next(turns) % requests else None):
            yield

    @contextmanager
    def _rule(self, rule: Callable[[int], Any]) -> Iterator[None]:
        self.storage.rule = rule
        try:
            yield
        finally:
            self.storage.rule = lambda rows: None

    @contextmanager
    def storage_gone(self) -> Iterator[None]:
        """Connections to BigQuery end and new ones are refused."""
        self.storage.stop()
        try:
            yield
        finally:
            self.storage.start()

    def ride_out(
        self, outage: AbstractContextManager[Any], outage_s: float, *, poison_every: int = 0
    ) -> Outcome:
        """Even load before and during an outage, then nothing but the backlog."""
        self.keep_publishing(0.5, poison_every=poison_every)
        with outage:
            began_s = time.monotonic()
            self.keep_publishing(outage_s, poison_every=poison_every)
            outage_s = time.monotonic() - began_s
        ended_s = time.monotonic()
        self.broker.drain(4 * outage_s + 60)
        self.recovery = max(0.0, self.broker.last_ack_s - ended_s) / outage_s
        return self.settle()

    # What has become of it.

    def rows(self, name: str = "raw_events") -> list[Row]:
        return self.storage.rows(PATHS[name])

    def settle(self, timeout_s: float = 90) -> Outcome:
        """Waits for the last acknowledgement and checks the invariant.

        Every message is rows or dead letters and not both; each event once in the unique view; every row is what
        its message said; the table and the hold have the same dead letters; no push was answered but by 204 or
        503, or by a connection that ended.
        """
        self.broker.drain(timeout_s)
        outcome = self._outcome(
            frozenset(message.message_id for topic in SOURCES for message in self.broker.of(topic))
        )
        self.outcomes.append(outcome)
        assert outcome.lost == frozenset()
        rows = {
            str(row["message_id"]) for name in ("raw_events", "feed_snapshots") for row in self.rows(name)
        }
        dead = {str(row["original_message_id"]) for row in outcome.dead}
        assert rows & dead == set(), "a message is both a row and a dead letter"
        assert rows | dead <= self.broker.published.keys(), "rows that nobody has published"
        self._check_rows()
        held = {message.attributes["pmp-dead-letter-id"] for message in self.broker.of(DEAD)}
        assert {row["dead_letter_id"] for row in outcome.dead} == held
        assert set(self.broker.answers) <= {0, 204, 503}
        return outcome

    def note(self, published: Iterable[str]) -> Outcome:
        """The outcome of messages that came another way than through the broker."""
        outcome = self._outcome(frozenset(published))
        self.outcomes.append(outcome)
        assert outcome.lost == frozenset()
        assert len(unique(self.rows())) == len({row["message_id"] for row in self.rows()})
        return outcome

    def _outcome(self, published: frozenset[str]) -> Outcome:
        kept = [row for name in ("raw_events", "feed_snapshots") for row in self.rows(name)]
        information = self.rows("station_information")
        dead = {str(row["dead_letter_id"]): row for row in self.rows("dead_letters")}
        arrived = {str(row["message_id"]) for row in kept + information}
        arrived |= {str(row["original_message_id"]) for row in dead.values()}
        return Outcome(
            messages=len(published),
            duplicates=len(kept)
            - len(unique(self.rows()))
            - len({row["event_id"] for row in self.rows("feed_snapshots")})
            + len(self.rows("dead_letters"))
            - len(dead),
            lost=frozenset(published - arrived),
            dead=tuple(dead.values()),
            recovery=self.recovery,
        )

    def _check_rows(self) -> None:
        wanted: set[tuple[str, ...]] = set()
        given_up = {row["original_message_id"] for row in self.rows("dead_letters")}
        for message in self.broker.of(EVENTS):
            if message.message_id not in given_up:
                wanted.add(event_key(message))
        assert unique(self.rows()) == wanted
        for row in self.rows():
            assert event_key(self.broker.published[str(row["message_id"])]) == row_key(row)


def snapshot_of(size_bytes: int, **changes: Any) -> bytes:
    """A snapshot of about so many bytes; its time makes it unlike any other."""
    at = datetime.now(UTC).isoformat()
    stations = [{"station_id": "A", "num_bikes_available": 1, "filler": "x" * size_bytes}]
    envelope = {
        "ingest_ts": at,
        "event_ts": at,
        "source": "velib",
        "event_type": "station_status_snapshot",
        "key": "velib:station_status_snapshot",
        "payload": {"last_updated": 1773129600, "data": {"stations": stations}},
    }
    return json.dumps(envelope | changes).encode()


def row_key(row: Row) -> tuple[str, ...]:
    return str(row["event_date"]), str(row["station_id"]), str(row["event_id"])


def unique(rows: Iterable[Row]) -> set[tuple[str, ...]]:
    """The keys of `pmp_raw.raw_events_unique`."""
    return {row_key(row) for row in rows}


def event_key(message: Published) -> tuple[str, ...]:
    """The key that an event must have; its day is that of UTC."""
    event = json.loads(message.data)
    at = datetime.fromisoformat(event["ts_iso"])
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return str(at.date()), event["station_id"], event["event_id"]


def storage_server() -> StorageWriteServer:
    return StorageWriteServer({PATHS[name]: tables.table(name) for name in WRITTEN})
