"""Runs a stack in the foreground: processes, set-up, readiness, and a record of it all."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.request import ProxyHandler, build_opener

from pmp_runtime.processes import ProcessId
from pmpctl.errors import CommandError
from pmpctl.local.combined_log import CombinedLog
from pmpctl.local.ports import require_free
from pmpctl.local.processes import ProcessSpec
from pmpctl.local.state_folder import ProcessRecord, Record, StateFolder
from pmpctl.local.supervisor import StackFailed, Supervisor

READY_TIMEOUT_S: Final = 90.0
_POLL_S: Final = 0.1
_PROBE_TIMEOUT_S: Final = 2.0
_OPENER: Final = build_opener(ProxyHandler({}))  # no proxy of the environment


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """A stack to run.

    Attributes:
        env: variables that all processes share.
        cwd: folder in which they run.
        files: written before anything is started, once the state folder is this stack's.
        set_up: prepares the emulators and returns what it did, a line each; raises CommandError. It is given a
            function that waits until they answer, so that it can import its clients meanwhile.
        urls: name and address of what a person may open.
    """

    specs: tuple[ProcessSpec, ...]
    env: Mapping[str, str]
    cwd: Path
    files: Mapping[Path, str]
    set_up: Callable[[Callable[[], None]], Iterable[str]]
    urls: Mapping[str, str]


def healthy(url: str) -> bool:
    """Whether a GET is answered below 400 within two seconds."""
    try:
        with _OPENER.open(url, timeout=_PROBE_TIMEOUT_S):
            return True
    except (OSError, HTTPException):
        return False


def run(plan: StackPlan, state: StateFolder, console: BinaryIO | None, *, colour: bool = False) -> int:
    """Runs until a signal or a failure.

    Args:
        console: unbuffered; gets the shortened lines of all processes.
        colour: whether the console shows colours.

    Returns:
        The exit code: 128 and the signal's number.

    Raises:
        StackFailed: the stack ended by itself.
        CommandError: the state folder or a port is in use; nothing was started.
    """
    with state.exclusive():
        require_free((spec.name, port) for spec in plan.specs for port in spec.ports)
        for path, text in plan.files.items():
            path.write_text(text, "utf-8")
        log = CombinedLog(state, [spec.name for spec in plan.specs], console, colour=colour)
        return _Run(plan, state, log).run()


class _Run:
    def __init__(self, plan: StackPlan, state: StateFolder, log: CombinedLog) -> None:
        supervisor = ProcessId.of(os.getpid())
        if supervisor is None:
            raise CommandError("this system does not report when a process started")
        self._plan, self._state, self._log = plan, state, log
        self._lock = threading.Lock()
        self._ended = False
        processes = tuple(ProcessRecord(name=s.name, ports=s.ports, health=s.health) for s in plan.specs)
        self._record = Record(
            status="starting", supervisor=supervisor, processes=processes, urls=dict(plan.urls)
        )
        self._supervisor = Supervisor(
            plan.specs, plan.env, plan.cwd, state, log, on_start=self._started, on_crash=self._crashed
        )

    def run(self) -> int:
        self._update()
        threading.Thread(target=self._bring_up, name="set-up", daemon=True).start()
        number = self._supervisor.run()
        failure = self._supervisor.failure
        if number is None and failure is not None:
            self._update(status="failed", detail=str(failure), log=str(failure.log), ended=True)
            raise failure
        self._update(status="stopped", detail="", ended=True)
        return 128 + (number or 0)

    def _update(self, *, ended: bool = False, **changes: Any) -> None:
        with self._lock:
            if not self._ended:  # the set-up thread may still be at work
                self._ended = ended
                self._record = replace(self._record, **changes)
                self._state.write(self._record)

    def _update_process(self, name: str, change: Callable[[ProcessRecord], ProcessRecord]) -> None:
        self._update(processes=tuple(change(p) if p.name == name else p for p in self._record.processes))

    def _started(self, name: str, pid: int) -> None:
        identity = ProcessId.of(pid)
        self._update_process(name, lambda process: replace(process, identity=identity))

    def _crashed(self, name: str, code: int) -> None:
        now = time.time()
        self._update_process(
            name, lambda p: replace(p, crashes=p.crashes + 1, exit_code=code, crashed_at=now)
        )

    def _bring_up(self) -> None:
        # If anything unforeseen ends this thread, its traceback is on standard error.
        failure: StackFailed | None = StackFailed("set-up crashed", self._state.log("console"))
        try:
            self._set_up(time.monotonic() + READY_TIMEOUT_S)
            failure = None
        except StackFailed as error:
            failure = error
        except CommandError as error:
            failure = StackFailed(str(error), self._state.log("stack"))
        finally:
            self._supervisor.failure = self._supervisor.failure or failure

    def _set_up(self, deadline: float) -> None:
        done = self._plan.set_up(lambda: self._await_emulators(deadline))
        self._state.log("setup").write_text("".join(f"{line}\n" for line in done), "utf-8")
        self._await([s for s in self._plan.specs if not s.is_emulator and not s.when_ready], deadline)
        self._update(status="ready", detail="")
        self._supervisor.ready = True
        for line in ("ready", *(f"{name:10} {url}" for name, url in self._plan.urls.items())):
            self._log.write("stack", line)

    def _await_emulators(self, deadline: float) -> None:
        self._await([s for s in self._plan.specs if s.is_emulator], deadline)
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
                if self._ended:
                    raise CommandError("stopped before it was ready")
                time.sleep(_POLL_S)
