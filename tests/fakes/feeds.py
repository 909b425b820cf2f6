"""Fakes of the other side of a poll: answers without a network, a feed server that misbehaves, Google's client."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

from google.api_core import exceptions

from pmp_collector.fetch import Fetched, FetchFailed

FETCHED_AT = datetime(2026, 3, 10, 8, 0, 30, 250000, tzinfo=UTC)


def body(stations: int = 2, **fields: Any) -> bytes:
    """A station_status whose spelling shows whether somebody has written it anew."""
    listed = [{"station_id": 19179944124 + n, "num_bikes_available": n} for n in range(stations)]
    document = {"last_updated": 1773129600} | fields | {"data": {"stations": listed}}
    return json.dumps(document, indent=1).replace(": ", " : ").encode()


def discovery(**feeds: str) -> bytes:
    listed = [{"name": name, "url": url} for name, url in feeds.items()]
    return json.dumps({"last_updated": 1773129600, "data": {"en": {"feeds": listed}}}).encode()


def fetched(content: bytes | None, *, url: str = "https://feeds.test/status", **headers: str) -> Fetched:
    return Fetched(
        url=url,
        body=content,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        started_at=FETCHED_AT.replace(microsecond=0),
        finished_at=FETCHED_AT,
    )


def status(code: int, **options: Any) -> FetchFailed:
    return FetchFailed(f"HTTP {code}", code, **options)


Given = bytes | Fetched | Exception | Callable[[], "bytes | Fetched"]


@dataclass
class FakeFeeds:
    """`Fetcher.get` without a network: each URL gives its answers in turn, the last one for ever.

    Attributes:
        calls: (url, validators) in order; `configured` likewise.
    """

    answers: dict[str, list[Given]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    configured: list[str | None] = field(default_factory=list)

    def give(self, url: str, *answers: Given) -> None:
        self.answers[url] = list(answers)

    def get(
        self, url: str, validators: Mapping[str, str] | None = None, *, configured: str | None = None
    ) -> Fetched:
        self.calls.append((url, dict(validators or {})))
        self.configured.append(configured)
        left = self.answers[url]
        given = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(given, Exception):
            raise given
        if callable(given):
            given = given()
        return fetched(given, url=url) if isinstance(given, bytes) else given

    @property
    def asked(self) -> list[str]:
        return [url for url, _ in self.calls]


@dataclass
class Asked:
    """One request as the server got it."""

    path: str
    headers: Mapping[str, str]


@dataclass
class FeedServer:
    """A loopback server.

    Attributes:
        url: without a slash at the end.
        routes: by path; gets the handler and writes whatever it likes to its socket.
        asked: requests in order.
        released: set at the end; a route that hangs waits for it.
    """

    url: str = ""
    routes: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def serve(self, path: str, content: bytes, status: int = 200, **headers: str) -> str:
        """Gives a path a plain answer; the URL of the path."""
        self.routes[path] = lambda handler: send(handler, status, content, headers)
        return self.url + path


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> None:
    handler.send_response(status)
    given = {"content_length": str(len(content))} | dict(headers or {})
    for name, value in given.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


@contextmanager
def feed_server() -> Iterator[FeedServer]:
    """A server on a free port of 127.0.0.1, until the end of the block."""
    server = FeedServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            server.asked.append(Asked(self.path, dict(self.headers)))
            try:
                server.routes.get(path, lambda handler: send(handler, 404))(self)
            except ConnectionError:  # the client has seen enough
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as listener:
        server.url = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            listener.shutdown()
            thread.join()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class FakePublisherClient:
    """Google's publisher client: it records, and topics can be told to be down.

    Attributes:
        published: (topic id, message) in order.
        down: ids of topics that answer 503.
    """

    published: list[tuple[str, Any]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)

    def publish(self, *, request: Mapping[str, Any], **_: Any) -> Any:
        topic = request["topic"].rsplit("/", 1)[-1]
        if topic in self.down:
            raise exceptions.ServiceUnavailable("down")
        self.published += [(topic, message) for message in request["messages"]]
        return SimpleNamespace(message_ids=[f"m-{n}" for n, _ in enumerate(request["messages"])])
