"""The files of one local stack: its logs, and a record by which other commands find, judge and end it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from pmp_runtime.processes import ProcessId
from pmpctl.errors import CommandError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """A process of the stack.

    Attributes:
        health: URL that answers while the process serves; None if it serves nothing.
        identity: None until it has started; an ended process keeps its last one.
        crashes: how often it ended by itself since the stack was ready.
        exit_code: of its last end; minus the signal's number if a signal ended it.
        crashed_at: Unix time of its last end.
    """

    name: str
    ports: tuple[int, ...]
    health: str | None
    identity: ProcessId | None = None
    crashes: int = 0
    exit_code: int | None = None
    crashed_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A stack.

    Attributes:
        status: `starting` until everything answers; `stopped` after an orderly end.
        supervisor: the process that started the others.
        detail: what it waits for, or why it failed; one line.
        log: the log file that explains a failure.
    """

    status: Literal["starting", "ready", "failed", "stopped", "killed"]
    supervisor: ProcessId
    processes: tuple[ProcessRecord, ...]
    urls: dict[str, str] = field(default_factory=dict)
    detail: str = ""
    log: str = ""

    @property
    def living(self) -> list[ProcessId]:
        """The processes that run, the supervisor not among them."""
        found = (process.identity for process in self.processes)
        return [identity for identity in found if identity is not None and identity.alive()]


@dataclass(frozen=True, slots=True)
class StateFolder:
    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def create(self) -> None:
        """Makes the folder.

        Raises:
            CommandError: it cannot be written.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            (self.path / "lock").touch()
        except OSError as error:
            raise CommandError(f"the state folder {self.path} cannot be used: {error.strerror}") from error

    def write(self, record: Record) -> None:
        """Replaces the record atomically: a reader never sees half of it."""
        new = self.path / "stack.json.new"
        new.write_bytes(msgspec.json.encode(record))
        new.replace(self.path / "stack.json")

    def read(self) -> Record | None:
        """The last record; None if no stack ever ran here."""
        file = self.path / "stack.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise CommandError(f"{file} cannot be read ({type(error).__name__}): remove it") from error

    def running(self) -> Record | None:
        """The record of a stack whose supervisor is alive."""
        record = self.read()
        return record if record is not None and record.supervisor.alive() else None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Holds the folder for one stack.

        Raises:
            CommandError: another stack holds it, or it cannot be written.
        """
        self.create()
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError(self._occupied()) from None
            yield

    def _occupied(self) -> str:
        record = self.running()
        if record is None:
            return "a stack was killed and has left processes behind: run `pmpctl down`"
        return already_running(record)


def already_running(record: Record) -> str:
    return f"already running (pid {record.supervisor.pid}); `pmpctl down` stops it"
