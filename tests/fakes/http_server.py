"""An HTTP server on loopback, for fakes: one function answers every request."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Request:
    """Attributes:
    path: with its query.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}


@contextmanager
def http_server(answer: Callable[[Request], tuple[int, Any]]) -> Iterator[str]:
    """Yields its URL. An answer is a status and text, or what becomes JSON, or None for no body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = answer(Request(self.command, self.path, dict(self.headers), body))
            is_text = isinstance(content, str)
            data = b"" if content is None else content.encode() if is_text else json.dumps(content).encode()
            with suppress(ConnectionError):  # a client that did not wait so long
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if is_text else "application/json")
                self.send_header("Metadata-Flavor", "Google")  # as Google's metadata server says of itself
                if status != 204:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names that the server calls

        def log_message(self, *_: Any) -> None:
            """Tests need no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(5)
