"""Publishing with confirmation: a call returns only when Pub/Sub has given every message an id.

The generated client is used rather than the batching one: one call is one request, so a confirmation belongs to the
caller's own messages, no thread outlives the call, and attribute names are data, not keyword arguments.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from threading import Lock, Timer
from typing import Final, Protocol

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherClient, PubsubMessage

from pmp_runtime.pubsub.ops_events import ops_event
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.retry import retrying
from pmp_schema.errors import PublishFailed
from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import TOPOLOGY, Topic

logger = logging.getLogger(__name__)

MAX_MESSAGES: Final = 1000  # per publish request, as MAX_BYTES; https://cloud.google.com/pubsub/quotas
MAX_BYTES: Final = 9_000_000
_OPS_EVENTS: Final = TOPOLOGY.topics["ops-events"]


class Publisher(Protocol):
    """Where messages go."""

    def publish(self, topic: Topic, messages: Sequence[Outgoing]) -> list[str]:
        """Message ids in the order of the messages, once all are confirmed.

        Raises:
            PublishFailed: at least one message is not confirmed; publishing all again is safe.
        """


class PubSubPublisher:
    """Google's Pub/Sub, or its emulator where PUBSUB_EMULATOR_HOST is set (the client reads it).

    It counts the messages that it publishes, but for ops events; `flush_counts` publishes the counts. In a service
    `create_service` calls it at the end of each request.

    Args:
        source: the service's id in the counts; None counts nothing.
        timeout_s: seconds for one `publish`, however many requests and attempts it takes.
        flush_after_s: seconds after a publish at which the counts are published, for work without an end.
    """

    def __init__(
        self,
        client: PublisherClient,
        project: str,
        *,
        source: str | None = None,
        timeout_s: float = 10.0,
        flush_after_s: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._project = project
        self._timeout_s = timeout_s
        self._retry = retrying(timeout_s)
        self._monotonic = monotonic
        self._counts: Counter[tuple[str, str]] = Counter()
        self._unconfirmed: list[Outgoing] = []
        self._source = source
        self._flush_after_s = flush_after_s
        self._timer: Timer | None = None
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
        self._count(topic, len(ids))
        return ids

    def flush_counts(self) -> None:
        """Publishes what was confirmed since the last call as `publisher.counted` events, for reconciliation.

        A failure is logged and the events are kept for the next call: counting never fails the work it counts, and an
        event whose confirmation was lost is sent again under its own id.
        """
        with self._lock:
            counts, self._counts = self._counts, Counter()
            events, self._unconfirmed = self._unconfirmed, []
        events += [
            ops_event(
                "publisher.counted",
                source=self._source or "",
                subject=topic,
                data={"minute": minute, "messages": count},
            )
            for (topic, minute), count in sorted(counts.items())
        ]
        if not events:
            return
        try:
            self.publish(_OPS_EVENTS, events)
        except PublishFailed as error:
            with self._lock:
                self._unconfirmed += events
            logger.warning("counts.postponed", extra={"cause": str(error)})

    def _count(self, topic: Topic, messages: int) -> None:
        if self._source is None or topic == _OPS_EVENTS:
            return
        minute = format_timestamp(datetime.now(UTC).replace(second=0, microsecond=0))
        with self._lock:
            self._counts[topic.id, minute] += messages
            if self._flush_after_s is not None and self._timer is None:
                self._timer = Timer(self._flush_after_s, self._flush_later)
                self._timer.daemon = True
                self._timer.start()

    def _flush_later(self) -> None:
        with self._lock:
            self._timer = None
        self.flush_counts()


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
