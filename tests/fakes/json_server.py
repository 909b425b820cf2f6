"""An HTTP server on loopback that records requests and gives prepared answers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.http_server import Request, http_server


@dataclass
class JsonServer:
    """Attributes:
    answers: (status, JSON or text) by "METHOD /path", the query left out; the last of several is kept.
    seen: every request, in order.
    delay_s: before each answer.
    """

    url: str = ""
    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    seen: list[Request] = field(default_factory=list)
    delay_s: float = 0.0

    def answer(self, request: Request) -> tuple[int, Any]:
        self.seen.append(request)
        time.sleep(self.delay_s)
        path = request.path.partition("?")[0]
        prepared = self.answers.get(f"{request.method} {path}", [(404, {"error": {"message": request.path}})])
        return prepared.pop(0) if len(prepared) > 1 else prepared[0]


@contextmanager
def json_server() -> Iterator[JsonServer]:
    fake = JsonServer()
    with http_server(fake.answer) as fake.url:
        yield fake
