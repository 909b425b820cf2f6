"""Processes of this machine that are written down and found again."""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Self


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same number.

    Attributes:
        pid: its number; also of its process group where it leads one.
        started: when it started, in the system's own form.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The identity of a running process, None where none runs under the number."""
        started = _started(pid)
        return None if started is None else cls(pid, started)

    def alive(self) -> bool:
        return _started(self.pid) == self.started

    def kill(self) -> None:
        """Ends it at once; nothing happens where it has ended before."""
        if self.alive():
            with suppress(ProcessLookupError):  # it may end by itself in between
                os.kill(self.pid, SIGKILL)


def _started(pid: int) -> str | None:
    try:
        # Fields 3 (state) and 22 (start time in ticks) of proc(5); the name before them may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self").exists() else _started_by_ps(pid)
    return None if fields[0] in {"Z", "X"} else fields[19]


def _started_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    return done.stdout.strip() or None
