"""The sink: messages to a topic, confirmed before the bundle ends.

Beam's own sink waits five minutes for a confirmation on the direct runner, leaves unconfirmed publishes behind that
still go out, and counts nothing that reconciliation could use.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection
from apache_beam.utils.windowed_value import WindowedValue
from google.api_core import retry
from google.api_core.exceptions import RetryError
from google.pubsub_v1 import PublisherClient

from pmp_beam.io.storage import once_per_process
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import MAX_BYTES, MAX_MESSAGES, PubSubPublisher
from pmp_runtime.retry import retrying
from pmp_schema.errors import PublishFailed
from pmp_schema.topology import TOPOLOGY

FLUSH_AFTER_S: Final = 10.0

MessagesOf = Callable[[Any], Iterable[Outgoing]]


def itself(element: Any) -> Iterable[Outgoing]:
    """The messages of an element that is a message."""
    return (element,)


class PublishMessages(beam.PTransform[PCollection[Any], PCollection[Any]]):
    """PCollection[T] -> PCollection[T]: each element once all of its messages are confirmed.

    Messages may be published twice: after a lost confirmation and when a bundle is repeated. Confirmed ones are
    counted for reconciliation within some seconds.

    Args:
        topic: key of the topology.
        project: Google Cloud project id; PUBSUB_EMULATOR_HOST is read by Google's client.
        source: the publisher's name in these counts.
        messages_of: an element's messages, none to many; by default the element is an `Outgoing`.
        retry_s: seconds after which the bundle fails instead of trying again; the runner then repeats it.
    """

    def __init__(
        self,
        topic: str,
        *,
        project: str,
        source: str,
        messages_of: MessagesOf = itself,
        retry_s: float = 60.0,
    ) -> None:
        super().__init__()
        self._topic = TOPOLOGY.topics[topic].key
        self._project = project
        self._source = source
        self._messages_of = messages_of
        self._retry_s = retry_s

    def expand(self, elements: PCollection[Any]) -> PCollection[Any]:
        publish = _Publish(self._topic, self._project, self._source, self._messages_of, self._retry_s)
        confirmed: PCollection[Any] = elements | "Publish" >> beam.ParDo(publish)
        confirmed.element_type = elements.element_type
        return confirmed


@once_per_process
def counting_publisher(project: str, source: str) -> PubSubPublisher:
    """The process's publisher."""
    return PubSubPublisher(PublisherClient(), project, source=source, flush_after_s=FLUSH_AFTER_S)


class _Publish(beam.DoFn):
    def __init__(
        self, topic: str, project: str, source: str, messages_of: MessagesOf, retry_s: float
    ) -> None:
        self._topic = topic
        self._project = project
        self._source = source
        self._messages_of = messages_of
        self._retry_s = retry_s
        self._messages_published = Metrics.counter("pmp_beam.io", "messages_published")
        self._retries = Metrics.counter("pmp_beam.io", "publish_retries")

    def setup(self) -> None:
        self._publisher = counting_publisher(self._project, self._source)
        self._retry = retrying(
            self._retry_s,
            retry.if_exception_type(PublishFailed),
            longest_pause_s=10.0,
            on_error=lambda _: self._retries.inc(),
        )

    def start_bundle(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._elements: list[WindowedValue] = []
        self._messages: list[Outgoing] = []
        self._size_bytes = 0

    def process(
        self,
        element: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        messages = list(self._messages_of(element))
        self._elements.append(WindowedValue(element, timestamp, (window,)))
        self._messages += messages
        self._size_bytes += sum(len(message.data) for message in messages)
        if len(self._messages) >= MAX_MESSAGES or self._size_bytes >= MAX_BYTES:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._flush()

    def _flush(self) -> Iterator[Any]:
        elements, messages = self._elements, self._messages
        self._clear()
        if messages:
            try:
                self._retry(self._publisher.publish)(TOPOLOGY.topics[self._topic], messages)
            except RetryError as error:
                raise PublishFailed(str(error.cause)) from error
            self._messages_published.inc(len(messages))
        yield from elements
