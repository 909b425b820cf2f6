"""Publishing with confirmation: a call returns only when Pub/Sub has given every message an id.

The generated client is used rather than the batching one: one call is one request, so a confirmation belongs to the
caller's own messages, no thread outlives the call, and attribute names are data, not keyword arguments.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final, Protocol
from uuid import uuid4

import msgspec
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherClient, PubsubMessage

from pmp_runtime.retry import retrying
from pmp_schema.errors import PublishFailed
from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import TOPOLOGY, Topic

logger = logging.getLogger(__name__)

MAX_MESSAGES: Final = 1000  # per publish request, as MAX_BYTES; https://cloud.google.com/pubsub/quotas
MAX_BYTES: Final = 9_000_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)


class Publisher(Protocol):
    """Where messages go."""

    def publish(self, topic: Topic, messages: Sequence[Outgoing]) -> list[str]:
        """Message ids in the order of the messages, once all are confirmed.

        Raises:
            PublishFailed: at least one message is not confirmed; publishing all again is safe.
        """


class PubSubPublisher:
    """Google's Pub/Sub, or its emulator where PUBSUB_EMULATOR_HOST is set (the client reads it).

    Args:
        timeout_s: seconds for one `publish`, however many requests and attempts it takes.
    """

    def __init__(
        self,
        client: PublisherClient,
        project: str,
        *,
        timeout_s: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._project = project
        self._timeout_s = timeout_s
        self._retry = retrying(timeout_s)
        self._monotonic = monotonic
        self._counts: Counter[tuple[str, str]] = Counter()
        self._postponed: list[Outgoing] = []
        self._lock = Lock()

    def publish(self, topic: Topic, messages: Sequence[Outgoing]) -> list[str]:
        deadline = self._monotonic() + self._timeout_s
        ids: list[str] = []
        for batch in batches(messages):
            ids += self._publish_batch(topic, batch, deadline - self._monotonic())
        return ids

    def ping(self, topic: Topic) -> None:
        """Asks for a topic; a refusal of permission is an answer too.

        Raises:
            PublishFailed: Pub/Sub does not answer, or the topic does not exist.
        """
        try:
            self._client.get_topic(topic=topic.path(self._project), timeout=2.0, retry=None)
        except exceptions.PermissionDenied:
            return
        except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
            raise PublishFailed(f"{topic.id}: {type(error).__name__}") from error

    def _publish_batch(self, topic: Topic, batch: Sequence[Outgoing], left_s: float) -> list[str]:
        if left_s <= 0:
            raise PublishFailed(f"{topic.id}: no time left for the rest of the messages")
        request = {
            "topic": topic.path(self._project),
            "messages": [PubsubMessage(data=m.data, attributes=dict(m.attributes)) for m in batch],
        }
        try:
            # The last attempt begins before the retry's time is over and may last as long again.
            response = self._client.publish(
                request=request, retry=self._retry.with_timeout(left_s / 2), timeout=left_s / 2
            )
        except (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError) as error:
            raise PublishFailed(f"{topic.id}: {type(error).__name__}") from error
        ids = list(response.message_ids)
        if len(ids) != len(batch):
            raise PublishFailed(f"{topic.id}: {len(ids)} of {len(batch)} messages confirmed")
        minute = format_timestamp(datetime.now(UTC).replace(second=0, microsecond=0))
        with self._lock:
            self._counts[topic.id, minute] += len(ids)
        return ids

    def take_counts(self) -> Counter[tuple[str, str]]:
        """What was confirmed since the last call, by topic id and minute; operational events are not counted."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        ops = TOPOLOGY.topics["ops-events"].id
        return Counter({key: count for key, count in counts.items() if key[0] != ops})

    def take_postponed(self) -> list[Outgoing]:
        """Announcements that could not be confirmed; they may have arrived, so they go out again as they were."""
        with self._lock:
            postponed, self._postponed = self._postponed, []
        return postponed

    def postpone(self, announcements: Sequence[Outgoing]) -> None:
        """Keeps announcements for the next call."""
        with self._lock:
            self._postponed += announcements


def batches(messages: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    """Splits messages so that each part fits one publish request."""
    batch: list[Outgoing] = []
    size = 0
    for message in messages:
        weight = len(message.data) + sum(len(k) + len(v) for k, v in message.attributes.items())
        if batch and (len(batch) == MAX_MESSAGES or size + weight > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += weight
    if batch:
        yield batch


def ops_event(
    event_type: str,
    *,
    source: str,
    data: Mapping[str, Any],
    subject: str | None = None,
    new_id: Callable[[], str] = lambda: uuid4().hex,
    at: datetime | None = None,
) -> Outgoing:
    """An operational event as a message: a CloudEvent in its JSON format, with the same attributes.

    Args:
        at: when it happened, aware; now by default.
    """
    event = {
        "specversion": "1.0",
        "id": new_id(),
        "type": event_type,
        "source": source,
        "time": format_timestamp(at or datetime.now(UTC)),
        "datacontenttype": "application/json",
        "data": data,
    }
    if subject is not None:
        event["subject"] = subject
    attributes = {f"ce-{name}": str(event[name]) for name in ("specversion", "id", "type", "source", "time")}
    return Outgoing(msgspec.json.encode(event), attributes)


def announce_counts(publisher: PubSubPublisher, source: str) -> None:
    """Publishes what was confirmed since the last call as `publisher.counted` events, for reconciliation.

    A failure is logged and the events are kept for the next call: counting never fails the work it counts, and an
    event whose answer was lost comes again under its own id.
    """
    announcements = publisher.take_postponed() + [
        ops_event(
            "publisher.counted", source=source, subject=topic, data={"minute": minute, "messages": count}
        )
        for (topic, minute), count in sorted(publisher.take_counts().items())
    ]
    if not announcements:
        return
    try:
        publisher.publish(TOPOLOGY.topics["ops-events"], announcements)
    except PublishFailed as error:
        publisher.postpone(announcements)
        logger.warning("counts.postponed", extra={"cause": str(error)})
