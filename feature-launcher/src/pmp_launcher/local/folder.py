"""The durable state of local runs: a folder per run, in it a folder per attempt.

<run_id>/door            locked while someone looks or starts
<run_id>/<n>/request     what was wanted, when
<run_id>/<n>/alive       locked by the attempt's processes as long as one of them lives
<run_id>/<n>/start       when its turn came, and its process
<run_id>/<n>/end         how it ended
<run_id>/<n>/output.log  what its processes wrote
turn                     locked by the attempt whose turn it is
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from pmp_launcher.feature_run import Run
from pmp_launcher.local import locks
from pmp_runtime.processes import ProcessId
from pmp_schema.features.runs import Status, Wanted

EXECUTOR = "local"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    wanted: Wanted
    attempt: int
    requested_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Attributes:
    process: None where it had ended before it was looked at.
    """

    at: datetime
    process: ProcessId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Attributes:
    error: why it failed; None for success.
    """

    at: datetime
    error: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt's folder."""

    folder: Path

    @property
    def alive(self) -> Path:
        return self.folder / "alive"

    @property
    def log(self) -> Path:
        return self.folder / "output.log"

    def save(self, part: Request | Start | End) -> None:
        """Writes a part; a reader sees all of it or nothing."""
        path = self.folder / type(part).__name__.lower()
        new = path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(part))
        new.replace(path)

    def start(self) -> Start | None:
        return self._load(Start)

    def request(self) -> Request | None:
        """What was requested; None where the launcher was killed before it had written that."""
        return self._load(Request)

    def run(self, request: Request, now: datetime) -> Run:
        """The run at this attempt; one without an end, of which no process lives, was killed."""
        is_alive = locks.is_held(
            self.alive
        )  # looked at first: the end is written before the lock is given back
        start, end = self.start(), self._load(End)
        if end is None and not is_alive:
            end = End(at=now, error="killed")
        if end is None:
            status = Status.STARTED if start else Status.REQUESTED
        else:
            status = Status.SUCCEEDED if end.error is None else Status.FAILED
        return Run(
            wanted=request.wanted,
            executor=EXECUTOR,
            attempt=request.attempt,
            status=status,
            requested_at=request.requested_at,
            started_at=start.at if start else None,
            finished_at=end.at if end else None,
            error=end.error if end else None,
        )

    def _load(self, kind: type[T]) -> T | None:
        try:
            data = (self.folder / kind.__name__.lower()).read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(data, type=kind)


def attempts(run_folder: Path) -> list[Attempt]:
    """Of a run, in order."""
    numbers = sorted(int(path.name) for path in run_folder.iterdir() if path.name.isdecimal())
    return [Attempt(run_folder / str(number)) for number in numbers]
