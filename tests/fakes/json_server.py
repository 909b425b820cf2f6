"""An HTTP server on loopback that records requests and answers what it was told to."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class JsonServer:
    """Attributes:
    answers: (status, JSON or text) by "METHOD /path", the query left out; the last of several is kept.
    seen: every request, in order.
    delay_s: before each answer.
    """

    url: str = ""
    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    delay_s: float = 0.0

    def answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        """Status, content type, body."""
        told = self.answers.get(f"{method} {path.partition('?')[0]}", [(404, {"error": {"message": path}})])
        status, body = told.pop(0) if len(told) > 1 else told[0]
        if isinstance(body, str):
            return status, "text/plain", body.encode()
        return status, "application/json", json.dumps(body).encode()


@contextmanager
def json_server() -> Iterator[JsonServer]:
    fake = JsonServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fake.seen.append(Seen(self.command, self.path, dict(self.headers), body))
            time.sleep(fake.delay_s)
            status, kind, said = fake.answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Metadata-Flavor", "Google")  # as Google's metadata server says of itself
            self.send_header("Content-Length", str(len(said)))
            with suppress(ConnectionError):  # a client that did not wait so long
                self.end_headers()
                self.wfile.write(said)

        do_POST = do_GET  # noqa: N815 - the name that the server calls

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
