"""The Publish call of Pub/Sub on a loopback port, for processes that find it by PUBSUB_EMULATOR_HOST."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.pubsub_v1.types import PublishRequest, PublishResponse


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
    server = grpc.server(ThreadPoolExecutor(2))
    publish = grpc.unary_unary_rpc_method_handler(
        fake.publish,
        request_deserializer=PublishRequest.deserialize,
        response_serializer=PublishResponse.serialize,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", {"Publish": publish}),)
    )
    fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait(5)
