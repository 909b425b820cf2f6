"""A service as it runs in production: gunicorn in a process of its own, on a free port of loopback."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 30


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class ServerProcess:
    """Attributes:
    log: file that holds both of its output streams.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """The answer, its body read: `answer.status`, `answer.headers`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            answer.read()
            return answer
        finally:
            connection.close()

    def terminate(self) -> int:
        """Sends SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def log_lines(self) -> list[dict[str, Any]]:
        """Every line of both streams as an object; raises ValueError for a line that is none."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def wait(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.request("GET", "/health")
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"did not start: {self.log.read_text('utf-8')}") from None
                time.sleep(0.05)
            else:
                return


@contextmanager
def server(app: str, env: Mapping[str, str], folder: Path) -> Iterator[ServerProcess]:
    """Starts `gunicorn -c python:pmp_runtime.http.gunicorn_settings <app>` with nothing but `env`, and ends it."""
    port, log = free_port(), folder / "server.log"
    command = [sys.executable, "-m", "gunicorn", "-c", "python:pmp_runtime.http.gunicorn_settings", app]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={"HOST": "127.0.0.1", "PORT": str(port), **env},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield ServerProcess(process, port, log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(5)
