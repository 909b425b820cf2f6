"""A pipeline as a process of its own, as operators run it, that a test may kill."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class PipelineProcess:
    """`python -m pmp_beam` with some arguments.

    Attributes:
        env: beside the environment's own variables.
        log: gets everything that it prints.
        starts: how often it was started.
    """

    arguments: list[str]
    env: dict[str, str]
    log: Path
    starts: int = field(default=0, init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pmp_beam", *self.arguments],
                env=os.environ | self.env,
                stdout=log,
                stderr=log,
            )
        self.starts += 1

    def kill(self) -> None:
        """SIGKILL: it cannot prepare for it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def rss_mb(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1000


@contextmanager
def pipeline_process(arguments: list[str], env: dict[str, str], log: Path) -> Iterator[PipelineProcess]:
    """Starts it, yields it, ends it."""
    pipeline = PipelineProcess(arguments, env, log)
    pipeline.start()
    try:
        yield pipeline
    finally:
        if pipeline.is_running:
            pipeline.kill()
