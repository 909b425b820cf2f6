"""Runs the processes of a stack: restarts services that end, and ends all processes in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from pmpctl.errors import CommandError
from pmpctl.local.combined_log import CombinedLog
from pmpctl.local.processes import ProcessSpec
from pmpctl.local.state_folder import StateFolder

_TURN_S: Final = 0.1
# Longer than gunicorn's graceful time-out: requests in hand are finished before anything is killed.
_GRACE_S: Final = 12.0
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
# A process that ran for this long starts again after the first pause.
STABLE_S: Final = 60.0


class StackFailed(CommandError):
    """A stack ended by itself; the message names the log that explains it."""

    def __init__(self, what: str, log: Path) -> None:
        super().__init__(f"{what}; read {log}")
        self.log = log


@dataclass(slots=True)
class _Child:
    spec: ProcessSpec
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause_s: float = _FIRST_PAUSE_S


class Supervisor:
    """Args:
    specs: the processes, in the order of their start.
    on_start: takes the name and pid of a process that was started.
    on_crash: takes the name and exit code of a process that ended by itself.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        env: Mapping[str, str],
        cwd: Path,
        state: StateFolder,
        log: CombinedLog,
        *,
        on_start: Callable[[str, int], None],
        on_crash: Callable[[str, int], None],
    ) -> None:
        self._children = [_Child(spec) for spec in specs]
        self._env, self._cwd, self._state, self._log = env, cwd, state, log
        self._on_start, self._on_crash = on_start, on_crash
        self._signal: int | None = None
        self.failure: StackFailed | None = None
        self.ready = False

    def run(self) -> int | None:
        """Blocks until a signal or a failure, then ends every process.

        Until `ready` is set, and for emulators, the end of one process is a failure.

        Returns:
            The signal; None after a failure.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._receive)
        try:
            while self._signal is None and self.failure is None:
                self._turn()
                time.sleep(_TURN_S)
        finally:
            self._end_all()
        return self._signal

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number

    def _turn(self) -> None:
        for child in self._children:
            code = None if child.process is None else child.process.poll()
            if code is not None:
                self._crashed(child, code)
            elif child.process is None and self._is_due(child):
                self._start(child)
            if self.failure is not None:
                break
        self._log.forward()

    def _is_due(self, child: _Child) -> bool:
        return time.monotonic() >= child.start_at and (self.ready or not child.spec.when_ready)

    def _start(self, child: _Child) -> None:
        name = child.spec.name
        try:
            with self._state.log(name).open("ab") as output:
                child.process = subprocess.Popen(
                    child.spec.argv,
                    env={**self._env, **child.spec.env},
                    cwd=self._cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self.failure = StackFailed(f"{name} cannot be started: {error}", self._state.log(name))
            return
        child.started_at = time.monotonic()
        self._log.write("stack", f"{name} started (pid {child.process.pid})")
        self._on_start(name, child.process.pid)

    def _crashed(self, child: _Child, code: int) -> None:
        name = child.spec.name
        _signal_group(child, signal.SIGKILL)  # what it started itself still has its port
        child.process = None
        self._on_crash(name, code)
        if child.spec.is_emulator or not self.ready:
            self.failure = StackFailed(f"{name} ended with exit code {code}", self._state.log(name))
            return
        now = time.monotonic()
        if now - child.started_at >= STABLE_S:
            child.pause_s = _FIRST_PAUSE_S
        self._log.write("stack", f"{name} ended with exit code {code}; starts again in {child.pause_s:g} s")
        child.start_at = now + child.pause_s
        child.pause_s = min(2 * child.pause_s, _LONGEST_PAUSE_S)

    def _end_all(self) -> None:
        """Emulators end last, so that services can finish their work."""
        for emulators in (False, True):
            group = [c for c in self._children if c.process and c.spec.is_emulator is emulators]
            self._signal_all(group, signal.SIGTERM)
            self._await_end(group)
            self._signal_all([child for child in group if not _has_ended(child)], signal.SIGKILL)
            for child in group:
                _signal_group(child, signal.SIGKILL)
        self._log.forward(rest=True)

    def _signal_all(self, children: Iterable[_Child], number: signal.Signals) -> None:
        for child in children:
            self._log.write("stack", f"{number.name} to {child.spec.name}")
            _signal_group(child, number)

    def _await_end(self, children: Sequence[_Child]) -> None:
        deadline = time.monotonic() + _GRACE_S
        while not all(_has_ended(child) for child in children) and time.monotonic() < deadline:
            time.sleep(_TURN_S)
            self._log.forward()


def _has_ended(child: _Child) -> bool:
    return child.process is None or child.process.poll() is not None


def _signal_group(child: _Child, number: signal.Signals) -> None:
    if child.process is not None:
        with suppress(ProcessLookupError, PermissionError):  # the whole group has ended
            os.killpg(child.process.pid, number)
