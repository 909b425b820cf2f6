"""A gRPC server on loopback, for fakes: unary calls of Google's services."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

_LIMITS = [("grpc.max_receive_message_length", 64 * 1024 * 1024), ("grpc.so_reuseport", 0)]
Call = tuple[Callable[[Any, grpc.ServicerContext], Any], Any]


@contextmanager
def grpc_server(services: Mapping[str, Mapping[str, Call]]) -> Iterator[str]:
    """Yields host and port.

    Args:
        services: by the service's full name and the method's: what answers, and the type of its request.
    """
    server = grpc.server(ThreadPoolExecutor(8), options=_LIMITS)
    for service, calls in services.items():
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                answer, request_deserializer=request.deserialize, response_serializer=_serialize
            )
            for name, (answer, request) in calls.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait(5)


def _serialize(message: Any) -> bytes:
    kind = type(message)
    return kind.serialize(message) if hasattr(kind, "serialize") else message.SerializeToString()
