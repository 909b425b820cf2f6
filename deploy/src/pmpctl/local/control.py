"""Starts a stack in the background, ends it and looks at it, from another process."""

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
from pmpctl.local.record import Record, StateFolder
from pmpctl.local.stack import healthy

_POLL_S: Final = 0.1
# Longer than the supervisor gives its processes before it kills them.
STOP_TIMEOUT_S: Final = 25.0
_GRACE_S: Final = 5.0
_TAIL_LINES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """One line of `pmpctl local status`; `healthy` is None for a process without a health URL."""

    name: str
    pid: int | None
    ports: tuple[int, ...]
    running: bool
    healthy: bool | None


def start(
    command: Sequence[str],
    env: Mapping[str, str],
    state: StateFolder,
    *,
    tell: Callable[[str], None],
) -> Record:
    """Starts a stack in a session of its own and waits until it is ready.

    Args:
        command: runs the stack in the foreground.
        env: its variables.
        state: where it keeps its record.
        tell: takes what it is waiting for.

    Raises:
        CommandError: it ended before it was ready; says why, with the tail of the log.
    """
    running = state.running()
    if running is not None:
        raise CommandError(
            f"already running (pid {running.supervisor.pid}); stop it with `pmpctl local down`"
        )
    state.logs.mkdir(parents=True, exist_ok=True)
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
        return _until_ready(child, state, tell)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise


def stop(state: StateFolder) -> bool:
    """Ends a stack and whatever a killed one has left behind; harmless where there is none.

    Returns:
        Whether there was anything to end.
    """
    record = state.read()
    if record is None:
        return False
    was_alive = record.supervisor.alive()
    if was_alive:
        with suppress(ProcessLookupError):
            os.kill(record.supervisor.pid, signal.SIGTERM)
        if not _gone([record.supervisor], STOP_TIMEOUT_S):
            with suppress(ProcessLookupError):
                os.kill(record.supervisor.pid, signal.SIGKILL)
    left = _living(state.read() or record)
    for number in (signal.SIGTERM, signal.SIGKILL):
        remaining = [identity for identity in left if identity.alive()]
        for identity in remaining:
            with suppress(ProcessLookupError):  # it may end by itself meanwhile
                os.killpg(identity.pid, number)
        _gone(remaining, _GRACE_S)
    state.ready.unlink(missing_ok=True)
    if record.status != "failed":
        state.write(replace(state.read() or record, status="stopped", detail=""))
    return was_alive or bool(left)


def present(state: StateFolder) -> Record | None:
    """The record of a stack of which anything is left, also where its supervisor was killed; None where nothing is."""
    record = state.read()
    if record is None or record.supervisor.alive():
        return record
    if _living(record):
        return replace(record, status="killed", detail="its supervisor was killed: run `make down`")
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
        )
        for process in record.processes
    )


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log file; empty where there is none."""
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _until_ready(child: subprocess.Popen[bytes], state: StateFolder, tell: Callable[[str], None]) -> Record:
    while True:
        code = child.poll()
        record = state.read()
        own = record is not None and record.supervisor.pid == child.pid
        if code is not None:
            raise CommandError(_why(record if own else None, state))
        if own and record is not None:
            if record.status == "ready":
                return record
            tell(record.detail)
        time.sleep(_POLL_S)


def _why(record: Record | None, state: StateFolder) -> str:
    if record is None or not record.log:
        said = tail(state.log("console"), 1) or "ended without a word"
        return said.removeprefix("pmpctl: ")
    return f"{record.detail}\n{tail(Path(record.log))}".rstrip()


def _living(record: Record) -> list[ProcessId]:
    found = (process.identity for process in record.processes)
    return [identity for identity in found if identity is not None and identity.alive()]


def _gone(identities: Sequence[ProcessId], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(identity.alive() for identity in identities):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
