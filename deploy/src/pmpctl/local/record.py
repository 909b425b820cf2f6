"""What a running stack writes down about itself, so that other commands find, judge and end it."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pmp_runtime.processes import ProcessId
from pmpctl.errors import CommandError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """A child of the stack; `identity` is None until it has started."""

    name: str
    ports: tuple[int, ...]
    health: str | None
    identity: ProcessId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A stack.

    Attributes:
        status: `starting` until everything answers; `stopped` after an orderly end.
        supervisor: the process that started the others.
        detail: why it failed, one line.
        log: the log file that tells more.
    """

    status: Literal["starting", "ready", "failed", "stopped", "killed"]
    supervisor: ProcessId
    processes: tuple[ProcessRecord, ...]
    urls: dict[str, str] = field(default_factory=dict)
    detail: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The files of one stack."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def ready(self) -> Path:
        """Exists while the stack is ready."""
        return self.path / "ready"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def write(self, record: Record) -> None:
        """Replaces the record at once, so that a reader never sees half of it."""
        new = self.path / "stack.json.new"
        new.write_text(json.dumps(asdict(record), indent=1), "utf-8")
        new.replace(self.path / "stack.json")

    def read(self) -> Record | None:
        """The last record; None where no stack ever ran here."""
        file = self.path / "stack.json"
        try:
            return _record(json.loads(file.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{file} cannot be read ({type(error).__name__}): remove it") from error

    def running(self) -> Record | None:
        """The record of a stack whose supervisor is alive."""
        record = self.read()
        return record if record is not None and record.supervisor.alive() else None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Holds the folder for one stack.

        Raises:
            CommandError: another one holds it.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError(self._occupied()) from None
            yield

    def _occupied(self) -> str:
        record = self.running()
        if record is None:
            return "a stack was killed and has left processes behind: run `pmpctl local down`"
        return f"already running (pid {record.supervisor.pid}); stop it with `pmpctl local down`"


def _record(raw: dict[str, Any]) -> Record:
    processes = tuple(
        ProcessRecord(
            name=p["name"],
            ports=tuple(p["ports"]),
            health=p["health"],
            identity=ProcessId(**p["identity"]) if p["identity"] else None,
        )
        for p in raw.pop("processes")
    )
    supervisor = ProcessId(**raw.pop("supervisor"))
    return Record(supervisor=supervisor, processes=processes, **raw)
