"""Runs as processes of this machine: one at a time, started once, known from files and locks."""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pmp_launcher.feature_run import Launch, Run
from pmp_launcher.local import locks
from pmp_launcher.local.folder import Attempt, End, Request, attempts
from pmp_schema.features.runs import Engine, Status, Wanted, attempt_id
from pmp_schema.timestamps import format_timestamp

# What a watcher has for ending its process, before someone else does.
GRACE: Final = timedelta(seconds=30)


class LocalExecutor:
    """Starts a watcher per attempt, which starts the process of the engine when its turn comes.

    Args:
        state: folder of the runs; one for all workers and instances.
        commands: by engine, without the arguments of a run.
        deadline_s: seconds that a process may take.
        now: aware UTC clock.
    """

    def __init__(
        self,
        state: Path,
        commands: Mapping[Engine, tuple[str, ...]],
        *,
        deadline_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self._state = state
        self._commands = commands
        self._deadline_s = deadline_s
        self._now = now

    def start(self, wanted: Wanted) -> Launch:
        folder = self._state / wanted.run_id
        folder.mkdir(parents=True, exist_ok=True)
        with locks.held(folder / "door"):
            last, number = self._last(folder)
            if last is not None and last.status is not Status.FAILED:
                return Launch(run=last, is_new=False)
            attempt = Attempt(folder / str(number + 1))
            run = self._begin(attempt, Request(wanted=wanted, attempt=number + 1, requested_at=self._now()))
            return Launch(run=run, is_new=True, follows=last)

    def find(self, run_id: str) -> Run | None:
        folder = self._state / run_id
        if not folder.is_dir():
            return None
        with locks.held(folder / "door"):
            return self._last(folder)[0]

    def _last(self, folder: Path) -> tuple[Run | None, int]:
        """The run at its last attempt, and the number of the last folder of an attempt."""
        found = attempts(folder)
        for attempt in reversed(found):
            if request := attempt.request():
                run = attempt.run(request, self._now())
                self._end_overdue(attempt, run)
                return run, int(found[-1].folder.name)
        return None, int(found[-1].folder.name) if found else 0

    def _begin(self, attempt: Attempt, request: Request) -> Run:
        attempt.folder.mkdir()
        with locks.held(attempt.alive, release=False) as alive:  # the watcher inherits it
            attempt.save(request)
            try:
                self._watch(attempt, request, alive)
            except OSError as error:
                attempt.save(End(at=self._now(), error=f"could not be started: {error.strerror}"))
            return attempt.run(request, self._now())

    def _watch(self, attempt: Attempt, request: Request, alive: int) -> None:
        command = [
            *(sys.executable, "-m", "pmp_launcher", "watch", str(attempt.folder)),
            *(f"--turn={self._state / 'turn'}", f"--deadline-s={self._deadline_s}", f"--alive={alive}", "--"),
            *self._commands[request.wanted.engine],
            f"--as-of={format_timestamp(request.wanted.as_of)}",
            f"--known-at={format_timestamp(request.wanted.known_at)}",
            f"--run-id={attempt_id(request.wanted.run_id, request.attempt)}",
        ]
        with attempt.log.open("ab") as log:
            watcher = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(alive,)
            )
        threading.Thread(target=watcher.wait, daemon=True).start()  # so that no zombie is left

    def _end_overdue(self, attempt: Attempt, run: Run) -> None:
        """Ends a process that has outlived both its watcher and its deadline."""
        start = attempt.start()
        if run.status.has_ended or start is None or start.process is None:
            return
        if self._now() > start.at + timedelta(seconds=self._deadline_s) + GRACE:
            start.process.kill()
