"""A service's gunicorn process that can be killed and started again on its port, and what /proc tells of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.server_process import START_S, ServerProcess, free_port

SETTINGS = "python:pmp_runtime.http.gunicorn_settings"


@dataclass(frozen=True)
class Usage:
    """What the worker process holds."""

    rss_bytes: int
    threads: int
    descriptors: int


class Service:
    """Attributes:
    url: the same after every start.
    as_configured: whether it runs, and without anything added to its environment.
    """

    def __init__(self, app: str, env: Mapping[str, str], folder: Path) -> None:
        self._app, self._env, self._folder = app, dict(env), folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._is_altered = False

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def as_configured(self) -> bool:
        return self.alive and not self._is_altered

    @property
    def log(self) -> Path:
        return self._folder / f"{self._app.partition('.')[0]}-{self.port}.log"

    def start(self, *, wrapper: Sequence[str] = (), **env: str) -> None:
        """Starts it and waits until it answers; `env` is for this start only."""
        command = [
            *wrapper,
            sys.executable,
            "-m",
            "gunicorn",
            "-c",
            SETTINGS,
            self._app,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env={"HOST": "127.0.0.1", "PORT": str(self.port), **self._env, **env},
                cwd=self._folder,
                stdout=subprocess.DEVNULL if wrapper else log,
                stderr=subprocess.DEVNULL if wrapper else log,
                start_new_session=True,  # one group: a kill takes the worker with its master
            )
        self._is_altered = bool(wrapper or env)
        self._wait()

    def _wait(self) -> None:
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                self.http.request("GET", "/health")
            except ConnectionError:  # a reset, too: the last of a killed worker's connections
                if not self.alive or time.monotonic() > deadline_s:
                    raise RuntimeError(f"did not start: {self.log.read_text('utf-8')[-2000:]}") from None
                time.sleep(0.02)
            else:
                return

    @property
    def http(self) -> ServerProcess:
        assert self.process is not None
        return ServerProcess(self.process, self.port, self.log)

    def kill(self) -> None:
        """As the kernel does when memory runs out: no signal handler runs, in no process of it."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; returns the exit code and after how many seconds it came."""
        assert self.process is not None
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30), time.monotonic() - began_s

    def restart(self, **env: str) -> None:
        if self.alive:
            self.kill()  # faster than to be asked
        self.start(**env)

    def usage(self) -> Usage:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii")
        worker = Path("/proc") / children.split()[0]
        status = dict(
            line.split(":", 1) for line in (worker / "status").read_text("ascii").splitlines() if ":" in line
        )
        return Usage(
            rss_bytes=int(status["VmRSS"].split()[0]) * 1024,
            threads=int(status["Threads"]),
            descriptors=len(list((worker / "fd").iterdir())),
        )
