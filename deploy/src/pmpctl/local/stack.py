"""Runs a stack in the foreground: processes, set-up, readiness, and a record of it all."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Final

import httpx

from pmp_runtime.processes import ProcessId
from pmpctl.errors import CommandError
from pmpctl.local.ports import require_free
from pmpctl.local.processes import ProcessSpec
from pmpctl.local.record import ProcessRecord, Record, StateFolder
from pmpctl.local.supervisor import LogPrinter, Supervisor

READY_TIMEOUT_S: Final = 90.0
_POLL_S: Final = 0.1
_PROBE_TIMEOUT_S: Final = 2.0
# For a probe that is under way; a set-up call in progress is not waited for.
_JOIN_S: Final = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """A stack to run.

    Attributes:
        specs: its processes; set-up starts when those that stop last answer.
        env: variables that all processes share.
        cwd: folder in which they run.
        files: written before anything is started, once the state folder is this stack's.
        set_up: prepares the emulators and tells what it did, a line each; raises CommandError. It is given a
            function that waits until they answer, so that it may load its clients meanwhile.
        urls: name and address of what a person may open, told once everything is ready.
    """

    specs: tuple[ProcessSpec, ...]
    env: Mapping[str, str]
    cwd: Path
    files: Mapping[Path, str]
    set_up: Callable[[Callable[[], None]], Iterable[str]]
    urls: Mapping[str, str]


class StackFailed(CommandError):
    """A stack ended by itself; the message names the log that tells more."""

    def __init__(self, what: str, log: Path) -> None:
        super().__init__(f"{what}; read {log}")
        self.log = log


def healthy(url: str) -> bool:
    """Whether a GET is answered below 400 within two seconds."""
    try:
        return _prober().get(url).status_code < 400
    except httpx.HTTPError:
        return False


@cache
def _prober() -> httpx.Client:
    # One client, because making one costs more than a probe. No kept connection delays a service's end, and an
    # environment's proxy has no part in loopback traffic.
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(timeout=_PROBE_TIMEOUT_S, limits=limits, trust_env=False)


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
        for path, text in plan.files.items():
            path.write_text(text, "utf-8")
        return _Run(plan, state, console, colour=colour).run()


class _Run:
    def __init__(
        self, plan: StackPlan, state: StateFolder, console: BinaryIO | None, *, colour: bool
    ) -> None:
        supervisor = ProcessId.of(os.getpid())
        if supervisor is None:
            raise CommandError("this system does not tell when a process started")
        self._plan = plan
        self._state = state
        self._console = console
        self._failure: StackFailed | None = None
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._guarded_bring_up, name="set-up", daemon=True)
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
            on_forked=self._thread.start,
            on_started=self._started,
        )

    def run(self) -> int:
        self._update()
        try:
            code = self._supervisor.run()
        finally:
            self._ending.set()
            if self._thread.is_alive():
                self._thread.join(_JOIN_S)
            self._state.ready.unlink(missing_ok=True)
        return self._conclude(code)

    def _started(self, name: str, pid: int) -> None:
        identity = ProcessId.of(pid)
        with self._lock:
            processes = tuple(
                replace(p, identity=identity) if p.name == name else p for p in self._record.processes
            )
            self._record = replace(self._record, processes=processes)
            self._state.write(self._record)

    def _update(self, **changes: Any) -> None:
        with self._lock:
            self._record = replace(self._record, **changes)
            self._state.write(self._record)

    def _guarded_bring_up(self) -> None:
        # Stands where anything unforeseen ends this thread; its traceback is on standard error.
        self._failure = StackFailed("set-up crashed", self._state.log("console"))
        try:
            self._bring_up()
            self._failure = None
        except StackFailed as error:
            self._failure = error
        except CommandError as error:
            self._failure = StackFailed(str(error), self._state.log("stack"))
        finally:
            if self._failure is not None:
                self._supervisor.fail()

    def _bring_up(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        done = self._plan.set_up(lambda: self._emulators(deadline))
        self._state.log("setup").write_text("".join(f"{line}\n" for line in done), "utf-8")
        self._await([s for s in self._plan.specs if not s.stops_last], deadline)
        self._update(status="ready", detail="")
        self._state.ready.touch()
        self._tell([f"{name:10} {url}" for name, url in self._plan.urls.items()])

    def _emulators(self, deadline: float) -> None:
        self._await([s for s in self._plan.specs if s.stops_last], deadline)
        self._update(detail="setting up topics and tables")

    def _await(self, specs: list[ProcessSpec], deadline: float) -> None:
        for spec in specs:
            if spec.health is None:
                continue
            self._update(detail=f"waiting for {spec.name}")
            while not healthy(spec.health):
                if time.monotonic() > deadline:
                    raise StackFailed(
                        f"{spec.name} does not answer at {spec.health}", self._state.log(spec.name)
                    )
                if self._ending.wait(_POLL_S):
                    raise CommandError("stopped before it was ready")

    def _tell(self, lines: list[str]) -> None:
        if self._console is not None:
            self._console.write("".join(f"{line}\n" for line in ["ready", *lines]).encode())

    def _conclude(self, code: int) -> int:
        ended = self._supervisor.first_stopped
        if ended is not None:
            name, status = ended
            self._failure = StackFailed(f"{name} ended with exit code {status}", self._state.log(name))
        if self._failure is not None and (ended is not None or self._supervisor.failed):
            self._update(status="failed", detail=str(self._failure), log=str(self._failure.log))
            raise self._failure
        self._update(status="stopped", detail="")
        return code
