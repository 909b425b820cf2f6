"""An HTTP proxy between Pub/Sub's push and a service that fails on demand: register its `url` as the endpoint."""

import http.client
import io
import socket
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.faults import FewerIds, LoseAnswer, Refuse, Script, Twice

_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "date", "server"}
)


@dataclass(frozen=True)
class Push:
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class PushProxy:
    """The proxy; a context manager. A service that cannot be reached is a closed connection, as without the proxy.

    Attributes:
        upstream: URL of the service, without a path.
        faults: of all requests.
        statuses: answers of the service, by HTTP status.
        unreached: requests that the service did not take, or did not answer.
    """

    upstream: str
    timeout_s: float = 60
    faults: Script[Push] = field(default_factory=Script)
    statuses: Counter[int] = field(default_factory=Counter)
    unreached: int = 0

    def __post_init__(self) -> None:
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> "PushProxy":
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.faults.close()
        self._server.shutdown()
        self._thread.join()
        with self._lock:
            for connection in self._connections:  # idle ones would wait for another request
                with suppress(OSError):  # the other side was first
                    connection.shutdown(socket.SHUT_RD)
        self._server.server_close()  # joins the threads of the connections

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)

    def handle(self, push: Push) -> tuple[int, Mapping[str, str], bytes] | None:
        """Status, headers and body of the answer; None closes the connection instead."""
        fault = self.faults.take(push)
        if isinstance(fault, FewerIds):
            raise TypeError("FewerIds is for a publish")
        if isinstance(fault, Refuse):
            return (fault.status, {}, b"") if fault.status else None
        if not self.faults.wait(fault):
            return None
        answer = self._forward(push)
        if isinstance(fault, Twice):
            answer = self._forward(push)
        return None if isinstance(fault, LoseAnswer) else answer

    def _forward(self, push: Push) -> tuple[int, Mapping[str, str], bytes] | None:
        connection = http.client.HTTPConnection(urlsplit(self.upstream).netloc, timeout=self.timeout_s)
        try:
            connection.request("POST", push.path, push.body, dict(push.headers))
            response = connection.getresponse()
            answer = response.status, _passed(response.headers.items()), response.read()
        except (OSError, http.client.HTTPException):
            with self._lock:
                self.unreached += 1
            return None
        finally:
            connection.close()
        with self._lock:
            self.statuses[response.status] += 1
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Ignores clients that went away."""


def _handler(proxy: PushProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            proxy.opened(self.request)
            super().setup()

        def finish(self) -> None:
            proxy.closed(self.request)
            super().finish()

        def do_POST(self) -> None:
            body = self._body()
            push = None if body is None else Push(self.path, _passed(self.headers.items()), body)
            answer = None if push is None else proxy.handle(push)
            if answer is None:
                self.close_connection = True
                return
            status, headers, content = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status >= 200 and status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _body(self) -> bytes | None:
            """None where the client went away before its end."""
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                return _chunked(self.rfile)
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            return body if len(body) == length else None

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _chunked(stream: io.BufferedIOBase) -> bytes | None:
    parts: list[bytes] = []
    while line := stream.readline():
        size = int(line.split(b";")[0], 16)
        part = stream.read(size)
        if (
            len(part) < size or stream.readline() != b"\r\n"
        ):  # so after the last, empty one: there are no trailers
            return None
        if not size:
            return b"".join(parts)
        parts.append(part)
    return None


def _passed(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in _HOP}
