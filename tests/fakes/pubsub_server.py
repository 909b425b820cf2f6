"""The Publish call of Pub/Sub on a loopback port, for processes that find it by PUBSUB_EMULATOR_HOST."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.pubsub_v1.types import PublishRequest, PublishResponse

from tests.fakes.grpc_server import grpc_server


@dataclass
class PubSubServer:
    """Attributes:
    address: host and port.
    published: (topic id, message) in order.
    """

    address: str = ""
    published: list[tuple[str, Any]] = field(default_factory=list)

    def publish(self, request: PublishRequest, _: grpc.ServicerContext) -> PublishResponse:
        topic = request.topic.rsplit("/", 1)[-1]
        self.published += [(topic, message) for message in request.messages]
        return PublishResponse(message_ids=[str(n) for n, _ in enumerate(request.messages)])


@contextmanager
def pubsub_server() -> Iterator[PubSubServer]:
    """A server on a free port of 127.0.0.1, until the end of the block."""
    fake = PubSubServer()
    with grpc_server(publisher(fake.publish)) as fake.address:
        yield fake


def publisher(publish: Callable[[PublishRequest, grpc.ServicerContext], PublishResponse]) -> Any:
    """The Publisher service with its one call that matters here, for `grpc_server`."""
    return {"google.pubsub.v1.Publisher": {"Publish": (publish, PublishRequest)}}
