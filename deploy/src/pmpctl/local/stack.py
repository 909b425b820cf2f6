"""Runs a stack in the foreground: processes, set-up, readiness, and a record of it all."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from pmpctl.errors import CommandError
from pmpctl.local.ports import require_free
from pmpctl.local.processes import ProcessSpec
from pmpctl.local.record import ProcessId, ProcessRecord, Record, StateFolder
from pmpctl.local.supervisor import LogPrinter, Supervisor

READY_TIMEOUT_S: Final = 90.0
_POLL_S: Final = 0.1
_PROBE_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """A stack to run.

    Attributes:
        specs: its processes; set-up starts when those that stop last answer.
        env: variables that all processes share.
        cwd: folder in which they run.
        set_up: prepares the emulators; raises CommandError.
        urls: name and address of what a person may open, told once everything is ready.
    """

    specs: tuple[ProcessSpec, ...]
    env: Mapping[str, str]
    cwd: Path
    set_up: Callable[[], None]
    urls: Mapping[str, str]


def healthy(url: str) -> bool:
    """Whether a GET is answered below 400 within two seconds."""
    try:
        # An environment's proxy has no part in loopback traffic.
        return httpx.get(url, timeout=_PROBE_TIMEOUT_S, trust_env=False).status_code < 400
    except httpx.HTTPError:
        return False


def run(plan: StackPlan, state: StateFolder, console: BinaryIO | None, *, colour: bool) -> int:
    """Runs until a signal, a failure or the end of one process.

    Args:
        plan: the stack.
        state: holds its logs and its record.
        console: unbuffered; gets the shortened lines of all processes.
        colour: whether the console shows colours.

    Returns:
        The exit code: 130 and 143 after SIGINT and SIGTERM, 1 after a failure.

    Raises:
        CommandError: the state folder or a port is taken; nothing was started.
    """
    with state.exclusive():
        require_free((spec.name, port) for spec in plan.specs for port in spec.ports)
        state.ready.unlink(missing_ok=True)
        return _Run(plan, state, console, colour=colour).run()


class _Run:
    def __init__(
        self, plan: StackPlan, state: StateFolder, console: BinaryIO | None, *, colour: bool
    ) -> None:
        supervisor = ProcessId.of(_own_pid())
        if supervisor is None:
            raise CommandError("this system does not tell when a process started")
        self._plan = plan
        self._state = state
        self._console = console
        self._failure: CommandError | None = None
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._bring_up = threading.Thread(target=self._guarded_bring_up, name="set-up", daemon=True)
        self._record = Record(
            status="starting",
            supervisor=supervisor,
            processes=tuple(ProcessRecord(name=s.name, ports=s.ports, health=s.health) for s in plan.specs),
            urls=dict(plan.urls),
        )
        self._supervisor = Supervisor(
            plan.specs,
            dict(plan.env),
            plan.cwd,
            LogPrinter(state.logs, console, colour=colour),
            on_forked=self._bring_up.start,
            on_started=self._started,
        )

    def run(self) -> int:
        self._update()
        try:
            code = self._supervisor.run()
        finally:
            self._ending.set()
            self._state.ready.unlink(missing_ok=True)
        return self._conclude(code)
