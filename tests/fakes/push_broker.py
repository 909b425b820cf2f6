"""The side of Pub/Sub that a service sees: it takes publishes and pushes each message until it is acknowledged.

For loads above what Google's emulator pushes (about a hundred messages a second); it also counts what the emulator does
not report: the attempts of each message, and their answers.
"""

import heapq
import http.client
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import grpc
from google.pubsub_v1.types import PublishRequest, PublishResponse

from pmp_schema.message import Message
from pmp_schema.topology import TOPOLOGY
from tests.fakes.grpc_server import grpc_server
from tests.fakes.pubsub_server import publisher
from tests.fakes.push_requests import wrapped

NO_ANSWER = 0


@dataclass(frozen=True)
class Published:
    """Attributes:
    topic: its id.
    """

    message_id: str
    topic: str
    data: bytes
    attributes: Mapping[str, str]
    at: datetime


@dataclass(order=True)
class _Delivery:
    due_s: float
    order: int
    message: Published = field(compare=False)
    attempts: int = field(default=0, compare=False)
    generation: int = field(default=0, compare=False)


class PushBroker:
    """The broker; a context manager.

    Attributes:
        url: of the service that gets the pushes; may be changed at any time.
        published: every message since the last `forget`, by its id.
        answers: how many pushes got which HTTP status; NO_ANSWER where the connection failed.
        outstanding: pushes that may be unanswered at a time.
        slowest_s: the longest that a push took to be answered.
        last_ack_s: monotonic time of the last acknowledgement.
        address: host and port of its Publish call, for PUBSUB_EMULATOR_HOST.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 200,
        outstanding: int = 60,
        backoff_s: tuple[float, float] = (0.1, 1.0),
        timeout_s: float = 60.0,
    ) -> None:
        """Args:
        connections: the most that `outstanding` can be.
        backoff_s: shortest and longest wait after a push that was not acknowledged; it doubles in between.
        timeout_s: the ack deadline.
        """
        self.url, self.outstanding = url, outstanding
        self.published: dict[str, Published] = {}
        self.answers: Counter[int] = Counter()
        self.slowest_s = 0.0
        self.last_ack_s = 0.0
        self.address = ""
        self._paths = {s.topic.id: (s.push_path, s.id) for s in TOPOLOGY.subscriptions if s.push_path}
        self._backoff_s, self._timeout_s = backoff_s, timeout_s
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._ready = threading.Condition(lock)
        self._due: deque[_Delivery] = deque()
        self._pushing = 0
        self._waiting: list[_Delivery] = []
        self._unacknowledged = 0
        self._count = 0
        self._generation = 0
        self._closed = False
        self._threads = [threading.Thread(target=self._push_all, name="push") for _ in range(connections)]
        self._threads.append(threading.Thread(target=self._schedule, name="push-schedule"))

    def __enter__(self) -> "PushBroker":
        self._server = grpc_server(publisher(self._publish))
        self.address = self._server.__enter__()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__(None, None, None)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def publish(
        self, topic: str, data: bytes, attributes: Mapping[str, str] | None = None, *, copies: int = 1
    ) -> str:
        """Takes a message and returns its id; `copies` are pushed independently, each until acknowledged."""
        with self._changed:
            self._count += 1
            message = Published(
                str(10_000_000_000 + self._count), topic, data, dict(attributes or {}), datetime.now(UTC)
            )
            self.published[message.message_id] = message
            if topic in self._paths:
                self._unacknowledged += copies
                for _ in range(copies):
                    self._enqueue(_Delivery(0.0, 0, message, generation=self._generation))
        return message.message_id

    def again(self, message_id: str) -> None:
        """Pushes a message once more, as Pub/Sub may at any time."""
        with self._changed:
            self._unacknowledged += 1
            self._enqueue(_Delivery(0.0, 0, self.published[message_id], generation=self._generation))

    def of(self, topic: str) -> list[Published]:
        with self._changed:
            return [message for message in self.published.values() if message.topic == topic]

    @property
    def unacknowledged(self) -> int:
        return self._unacknowledged

    def drain(self, timeout_s: float) -> None:
        """Returns once everything is acknowledged, what was published on its account included.

        Raises:
            TimeoutError: it is not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._unacknowledged == 0, timeout_s):
                raise TimeoutError(f"{self._unacknowledged} are not acknowledged; {dict(self.answers)}")

    def await_answers(self, count: int, timeout_s: float = 30) -> None:
        """Returns once so many pushes were answered, or failed, since the last `forget`.

        Raises:
            TimeoutError: they were not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.answers.total() >= count, timeout_s):
                raise TimeoutError(f"{dict(self.answers)}")

    def forget(self) -> None:
        """Begins anew, with new connections; what is not acknowledged is given up."""
        with self._changed:
            self.published, self.answers, self.slowest_s = {}, Counter(), 0.0
            self._waiting.clear()
            self._due.clear()
            self._unacknowledged = 0
            self._generation += 1

    def _publish(self, request: PublishRequest, _: grpc.ServicerContext) -> PublishResponse:
        topic = request.topic.rsplit("/", 1)[-1]
        return PublishResponse(
            message_ids=[self.publish(topic, m.data, dict(m.attributes)) for m in request.messages]
        )

    def _enqueue(self, delivery: _Delivery) -> None:
        if delivery.due_s <= time.monotonic():
            self._due.append(delivery)
            self._ready.notify()
        else:
            self._count += 1
            delivery.order = self._count
            heapq.heappush(self._waiting, delivery)
            self._changed.notify_all()

    def _schedule(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                while self._waiting and self._waiting[0].due_s <= now:
                    self._due.append(heapq.heappop(self._waiting))
                    self._ready.notify()
                self._changed.wait(self._waiting[0].due_s - now if self._waiting else None)

    def _next(self) -> _Delivery | None:
        with self._changed:
            self._ready.wait_for(lambda: self._closed or (self._due and self._pushing < self.outstanding))
            if self._closed:
                return None
            self._pushing += 1
            return self._due.popleft()

    def _push_all(self) -> None:
        connection, opened_for = None, ("", 0)
        while (delivery := self._next()) is not None:
            host = urlsplit(self.url).netloc
            if connection is None or opened_for != (host, self._generation):
                if connection is not None:
                    connection.close()
                connection = http.client.HTTPConnection(host, timeout=self._timeout_s)
                opened_for = (host, self._generation)
            began_s = time.monotonic()
            status = self._push(connection, delivery)
            if status == NO_ANSWER:
                connection.close()
            self._settle(delivery, status, began_s)
        if connection is not None:
            connection.close()

    def _push(self, connection: http.client.HTTPConnection, delivery: _Delivery) -> int:
        delivery.attempts += 1
        message = delivery.message
        path, subscription = self._paths[message.topic]
        headers, body = wrapped(
            Message(
                data=message.data,
                message_id=message.message_id,
                attributes=message.attributes,
                publish_ts=message.at,
                subscription=subscription,
                delivery_attempt=delivery.attempts,
            )
        )
        try:
            connection.request("POST", path, body, headers)
            with connection.getresponse() as response:
                response.read()
                return response.status
        except (OSError, http.client.HTTPException):
            return NO_ANSWER

    def _settle(self, delivery: _Delivery, status: int, began_s: float) -> None:
        now = time.monotonic()
        with self._changed:
            self._pushing -= 1
            if self._due:
                self._ready.notify()
            if delivery.generation != self._generation:
                return
            self.answers[status] += 1
            self.slowest_s = max(self.slowest_s, now - began_s)
            if 200 <= status < 300:
                self.last_ack_s = now
                self._unacknowledged -= 1
                self._changed.notify_all()
                return
            shortest, longest = self._backoff_s
            wait_s = min(longest, shortest * 2 ** min(delivery.attempts - 1, 10))
            delivery.due_s = now + wait_s * random.uniform(0.8, 1.2)
            self._enqueue(delivery)
            self._changed.notify_all()
