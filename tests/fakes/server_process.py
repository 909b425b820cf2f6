"""A service as it runs in production: gunicorn in a process of its own, on a free port of loopback."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 30
SETTINGS = "python:pmp_runtime.http.gunicorn_settings"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class Usage:
    """What the worker process holds."""

    rss_bytes: int
    threads: int
    descriptors: int


class ServerProcess:
    """A service that can be killed and started again on its port.

    Attributes:
        url: the same after every start.
        log: file that holds both of its output streams.
        as_configured: whether it runs, and without anything added to its environment.
    """

    def __init__(self, app: str, env: Mapping[str, str], folder: Path) -> None:
        self._app, self._env, self._folder = app, dict(env), folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{app.partition('.')[0]}-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._is_altered = False

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was never started"
        return self._process

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def as_configured(self) -> bool:
        return self.alive and not self._is_altered

    def launch(self, *, wrapper: Sequence[str] = (), **env: str) -> None:
        """Starts it and does not wait; `env` is for this start only."""
        with self.log.open("ab") as log:
            output = subprocess.DEVNULL if wrapper else log
            self._process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "gunicorn", "-c", SETTINGS, self._app],
                env={"HOST": "127.0.0.1", "PORT": str(self.port), **self._env, **env},
                cwd=self._folder,
                stdout=output,
                stderr=output,
                start_new_session=True,  # one group: a kill takes the worker with its master
            )
        self._is_altered = bool(wrapper or env)

    def start(self, *, wrapper: Sequence[str] = (), **env: str) -> None:
        """Starts it and waits until it answers."""
        self.launch(wrapper=wrapper, **env)
        self.wait()

    def wait(self) -> None:
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                self.request("GET", "/health")
            except ConnectionError:  # a reset, too: the last of a killed worker's connections
                if not self.alive or time.monotonic() > deadline_s:
                    raise RuntimeError(f"did not start: {self.log.read_text('utf-8')[-2000:]}") from None
                time.sleep(0.02)
            else:
                return

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

    def kill(self) -> None:
        """As the kernel does when memory runs out: no signal handler runs, in no process of it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def terminate(self) -> int:
        """Sends SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def restart(self, **env: str) -> None:
        if self.alive:
            self.kill()  # faster than to be asked
        self.start(**env)

    def usage(self) -> Usage:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii")
        worker = Path("/proc") / children.split()[0]
        lines = (worker / "status").read_text("ascii").splitlines()
        status = dict(line.split(":", 1) for line in lines if ":" in line)
        return Usage(
            rss_bytes=int(status["VmRSS"].split()[0]) * 1024,
            threads=int(status["Threads"]),
            descriptors=len(list((worker / "fd").iterdir())),
        )

    def log_lines(self) -> list[dict[str, Any]]:
        """Every line of both streams as an object; raises ValueError for a line that is none."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]


@contextmanager
def server(app: str, env: Mapping[str, str], folder: Path) -> Iterator[ServerProcess]:
    """Launches a service with nothing but `env`, and ends it."""
    service = ServerProcess(app, env, folder)
    service.launch()
    try:
        yield service
    finally:
        if service.alive:
            service.kill()
