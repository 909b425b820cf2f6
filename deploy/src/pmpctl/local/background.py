"""Starts a stack in the background, stops it and inspects it, from another process."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pmp_runtime.processes import ProcessId
from pmpctl.errors import CommandError
from pmpctl.local.stack import healthy
from pmpctl.local.state_folder import Record, StateFolder, already_running
from pmpctl.local.supervisor import STABLE_S

_POLL_S: Final = 0.1
# Longer than the supervisor waits before it kills its processes: services, then emulators.
STOP_TIMEOUT_S: Final = 30.0
_GRACE_S: Final = 5.0
_TAIL_LINES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """One line of `pmpctl status`; `healthy` is None for a process without a health URL."""

    name: str
    pid: int | None
    ports: tuple[int, ...]
    running: bool
    healthy: bool | None
    crashes: int
    exit_code: int | None


def start(
    command: Sequence[str], env: Mapping[str, str], state: StateFolder, *, show: Callable[[str], None]
) -> Record:
    """Starts a stack in a session of its own and waits until it is ready.

    Args:
        command: runs the stack in the foreground.
        show: takes what the stack is waiting for.

    Raises:
        CommandError: one runs already, or it ended before it was ready; the message has the tail of the log.
    """
    running = state.running()
    if running is not None:
        raise CommandError(already_running(running))
    state.create()
    with state.log("console").open("wb") as console:
        child = subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _until_ready(child, state, show)
    except (KeyboardInterrupt, SystemExit):
        child.terminate()
        child.wait()
        raise


def stop(state: StateFolder) -> bool:
    """Ends a stack, and whatever a killed one has left behind.

    Returns:
        Whether there was anything to end.
    """
    record = state.read()
    if record is None:
        return False
    supervisor = [record.supervisor] if record.supervisor.alive() else []
    for identity in supervisor:
        with suppress(ProcessLookupError):
            os.kill(identity.pid, signal.SIGTERM)
    _await_end(supervisor, STOP_TIMEOUT_S)
    for identity in supervisor:
        identity.kill()
    left = (state.read() or record).living
    for number in (signal.SIGTERM, signal.SIGKILL):
        remaining = [identity for identity in left if identity.alive()]
        for identity in remaining:
            with suppress(ProcessLookupError):  # it may end by itself meanwhile
                os.killpg(identity.pid, number)
        _await_end(remaining, _GRACE_S)
    if record.status != "failed":
        state.write(replace(state.read() or record, status="stopped", detail=""))
    return bool(supervisor or left)


def present(state: StateFolder) -> Record | None:
    """The record of a stack that runs, has failed, or was killed and left processes; else None."""
    record = state.read()
    if record is None or record.supervisor.alive():
        return record
    if record.living:
        return replace(record, status="killed", detail="its supervisor was killed: run `pmpctl down`")
    return record if record.status == "failed" else None


def inspect(record: Record) -> tuple[ProcessStatus, ...]:
    """Looks at every process of a stack; asks each health URL once."""
    return tuple(
        ProcessStatus(
            name=process.name,
            pid=process.identity.pid if process.identity else None,
            ports=process.ports,
            running=process.identity is not None and process.identity.alive(),
            healthy=None if process.health is None else healthy(process.health),
            crashes=process.crashes,
            exit_code=process.exit_code,
        )
        for process in record.processes
    )


def problems(record: Record, processes: Sequence[ProcessStatus], now: float) -> list[str]:
    """What is wrong with a stack, a line each. A crash is a problem for a minute, a crash loop as long as it lasts.

    Args:
        now: Unix time.
    """
    if record.status != "ready":
        return [f"the stack is {record.status}: {record.detail}".rstrip(": ")]
    found = []
    for recorded, process in zip(record.processes, processes, strict=True):
        name = process.name
        if recorded.crashed_at is not None and now - recorded.crashed_at < STABLE_S:
            again = "was started again" if process.running else "will be started again"
            found.append(
                f"{name} ended with exit code {process.exit_code} and {again} (crashes: {process.crashes})"
            )
        elif not process.running:
            found.append(f"{name} does not run")
        elif process.healthy is False:
            found.append(f"{name} does not answer")
    return found


def _until_ready(child: subprocess.Popen[bytes], state: StateFolder, show: Callable[[str], None]) -> Record:
    while True:
        code = child.poll()
        record = state.read()
        if record is not None and record.supervisor.pid != child.pid:
            record = None  # of an earlier stack
        if code is not None:
            raise CommandError(_why(record, state))
        if record is not None:
            if record.status == "ready":
                return record
            show(record.detail)
        time.sleep(_POLL_S)


def _why(record: Record | None, state: StateFolder) -> str:
    if record is not None and record.log:
        return f"{record.detail}\n{_tail(Path(record.log), _TAIL_LINES)}".rstrip()
    return _tail(state.log("console"), 1) or f"the stack ended without a message; read {state.log('stack')}"


def _tail(log: Path, lines: int) -> str:
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _await_end(identities: Sequence[ProcessId], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while any(identity.alive() for identity in identities) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
