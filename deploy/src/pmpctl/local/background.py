"""Starts a stack in the background, stops it and inspects it, from another process."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pmp_runtime.processes import ProcessId
from pmpctl.errors import CommandError
from pmpctl.local.stack import healthy
from pmpctl.local.state_folder import ProcessRecord, Record, StateFolder, already_running
from pmpctl.local.supervisor import STABLE_S

_POLL_S: Final = 0.1
# Longer than the supervisor waits before it kills its processes: services, then emulators.
STOP_TIMEOUT_S: Final = 30.0
_GRACE_S: Final = 5.0
_TAIL_LINES: Final = 20


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


def inspect(record: Record, now: float) -> tuple[list[dict[str, Any]], list[str]]:
    """Looks at every process of a stack; asks each health URL once.

    A crash is a problem for a minute, a crash loop as long as it lasts.

    Args:
        now: Unix time.

    Returns:
        A row for each process, and a line for each problem.
    """
    rows = [
        {
            "name": process.name,
            "pid": process.identity.pid if process.identity else None,
            "ports": process.ports,
            "running": process.identity is not None and process.identity.alive(),
            "healthy": None if process.health is None else healthy(process.health),
            "crashes": process.crashes,
            "exit_code": process.exit_code,
        }
        for process in record.processes
    ]
    if record.status != "ready":
        return rows, [f"the stack is {record.status}: {record.detail}".rstrip(": ")]
    found = (_problem(process, row, now) for process, row in zip(record.processes, rows, strict=True))
    return rows, [problem for problem in found if problem]


def _problem(process: ProcessRecord, row: Mapping[str, Any], now: float) -> str:
    name = process.name
    if process.crashed_at is not None and now - process.crashed_at < STABLE_S:
        again = "was started again" if row["running"] else "will be started again"
        return f"{name} ended with exit code {process.exit_code} and {again} (crashes: {process.crashes})"
    if not row["running"]:
        return f"{name} does not run"
    return f"{name} does not answer" if row["healthy"] is False else ""


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
