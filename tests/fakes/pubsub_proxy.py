"""A gRPC proxy in front of Pub/Sub (its emulator or a fake) that fails on demand.

It forwards the unary calls of Publisher and Subscriber byte by byte. StreamingPull is
UNIMPLEMENTED: what is to be tested pulls by single calls, or is pushed to.
"""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.pubsub_v1.types import PublishResponse

from tests.fakes.faults import Fault, FewerIds, LoseAnswer, Refuse, Script, Twice

PUBLISH = "Publish"
THREADS = "pubsub-proxy"
_SERVICES = ("/google.pubsub.v1.Publisher/", "/google.pubsub.v1.Subscriber/")
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
]
# Set by each client and server for itself.
_OWN_METADATA = ("user-agent", "grpc-", ":", "te", "content-type")


@dataclass(frozen=True)
class Call:
    """Attributes:
    method: without its service, for example `Publish`.
    """

    method: str
    request: bytes


@dataclass
class PubSubProxy:
    """The proxy; a context manager.

    Attributes:
        upstream: host and port.
        methods: the calls that the faults are for; all others pass.
        faults: of these calls.
        forwarded: calls that reached the upstream, by method; `Twice` counts two.
        port: of 127.0.0.1; the same one after `stop` and `start`.
    """

    upstream: str
    methods: frozenset[str] = frozenset({PUBLISH})
    faults: Script[Call] = field(default_factory=Script)
    forwarded: Counter[str] = field(default_factory=Counter)
    port: int = 0
    workers: int = 32

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> "PubSubProxy":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.faults.close()
        self.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listens, on the same port as before if there was one."""
        # A proxy of the surrounding environment never stands between this one and its upstream.
        options = [*_OPTIONS, ("grpc.enable_http_proxy", 0)]
        self._channel = grpc.insecure_channel(self.upstream, options=options)
        self._pool = ThreadPoolExecutor(self.workers, THREADS)
        self._server = grpc.server(self._pool, options=[*_OPTIONS, ("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers([_Route(self)])
        self.port = self._server.add_insecure_port(self.address)
        self._server.start()

    def stop(self) -> None:
        """Ends every call and stops listening: connections are refused until `start`."""
        self._server.stop(None).wait(10)
        self.faults.release()  # of calls that are over
        self._pool.shutdown(wait=True)
        self._channel.close()

    def handle(self, path: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        method = path.rsplit("/", 1)[-1]
        fault = self.faults.take(Call(method, request)) if method in self.methods else None
        if isinstance(fault, Refuse):
            _unavailable(context, "refused by the proxy")
        if not self.faults.wait(fault) or not context.is_active():
            _unavailable(context, "the proxy ended, or the call did")
        answer = self._forward(path, request, context)
        return self._answer(fault, answer, path, request, context)

    def _answer(
        self, fault: Fault | None, answer: bytes, path: str, request: bytes, context: grpc.ServicerContext
    ) -> bytes:
        if isinstance(fault, LoseAnswer):
            _unavailable(context, "the answer was lost by the proxy")
        if isinstance(fault, Twice):
            return self._forward(path, request, context)
        if isinstance(fault, FewerIds):
            ids = list(PublishResponse.deserialize(answer).message_ids)
            kept: bytes = PublishResponse.serialize(PublishResponse(message_ids=ids[: -fault.count]))
            return kept
        return answer

    def _forward(self, path: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        with self._lock:
            self.forwarded[path.rsplit("/", 1)[-1]] += 1
        metadata = [item for item in context.invocation_metadata() if not item[0].startswith(_OWN_METADATA)]
        call = self._channel.unary_unary(path)
        try:
            answer: bytes = call(request, timeout=context.time_remaining(), metadata=metadata)
        except grpc.RpcError as error:
            context.set_trailing_metadata(error.trailing_metadata() or ())
            context.abort(error.code(), error.details() or "")
        return answer


class _Route(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, proxy: PubSubProxy) -> None:
        self._proxy = proxy

    def service(self, details: Any) -> grpc.RpcMethodHandler | None:
        path = details.method
        if not path.startswith(_SERVICES) or path.endswith("/StreamingPull"):
            return None
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._proxy.handle(path, request, context)
        )


def _unavailable(context: grpc.ServicerContext, why: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNAVAILABLE, why)
    raise AssertionError("abort raises")
