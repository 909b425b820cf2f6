"""What a feature run is: asked for by an engine and a point in time, attempted once or more."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol, Self

from pmp_schema.timestamps import format_timestamp

_RUN_ID: Final = re.compile(r"features-(sql|beam)-(\d{8}t\d{6})(\d{6})?z", re.ASCII)
_ATTEMPT_ID: Final = re.compile(r"(.+)-([1-9]\d{0,8})", re.ASCII)


class Engine(StrEnum):
    """What computes the rows; both give the same ones."""

    SQL = "sql"
    BEAM = "beam"


class Status(StrEnum):
    """As in pmp_ops.feature_runs."""

    REQUESTED = "requested"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def has_ended(self) -> bool:
        return self in {Status.SUCCEEDED, Status.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Attributes:
    as_of: end of every window, UTC.
    known_at: events ingested later do not exist, UTC.
    """

    engine: Engine
    as_of: datetime
    known_at: datetime

    @property
    def run_id(self) -> str:
        """The same for the same engine and `as_of`, whatever `known_at` is."""
        micros = f"{self.as_of.microsecond:06d}" if self.as_of.microsecond else ""
        return f"features-{self.engine}-{self.as_of:%Y%m%dt%H%M%S}{micros}z"

    @classmethod
    def of_run(cls, run_id: str, known_at: datetime) -> Self:
        """Raises:
        ValueError: no id of a run.
        """
        engine, as_of = read_run_id(run_id)
        return cls(engine=engine, as_of=as_of, known_at=known_at)


def read_run_id(run_id: str) -> tuple[Engine, datetime]:
    """The engine and the `as_of` of a run.

    Raises:
        ValueError: no id of a run.
    """
    match = _RUN_ID.fullmatch(run_id)
    if match is None:
        raise ValueError("no id of a run")
    engine, seconds, micros = match.groups()
    as_of = datetime.strptime(f"{seconds}{micros or '000000'}+0000", "%Y%m%dt%H%M%S%f%z")
    return Engine(engine), as_of.astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run at its last attempt.

    Attributes:
        executor: where it is carried out.
        attempt: 1 or more; a failed attempt may be followed by another.
        rows: that were written, where the executor knows.
        error: why it failed, in one line.
    """

    wanted: Wanted
    executor: str
    attempt: int
    status: Status
    requested_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    rows: int | None = None
    error: str | None = None

    @property
    def run_id(self) -> str:
        return self.wanted.run_id

    @property
    def attempt_id(self) -> str:
        return attempt_id(self.run_id, self.attempt)

    def as_json(self) -> dict[str, Any]:
        """For an answer; what is not known is left out."""
        values = {
            "run_id": self.run_id,
            "as_of": format_timestamp(self.wanted.as_of),
            "engine": str(self.wanted.engine),
            "status": str(self.status),
            "known_at": format_timestamp(self.wanted.known_at),
            "executor": self.executor,
            "attempt": self.attempt,
            "requested_at": format_timestamp(self.requested_at),
            "started_at": format_timestamp(self.started_at) if self.started_at else None,
            "finished_at": format_timestamp(self.finished_at) if self.finished_at else None,
            "rows": self.rows,
            "error": self.error,
        }
        return {name: value for name, value in values.items() if value is not None}


def attempt_id(run_id: str, attempt: int) -> str:
    """Names one attempt: its processes, jobs, staging table and events."""
    return f"{run_id}-{attempt}"


def read_attempt_id(text: str) -> tuple[str, int]:
    """The run's id and the attempt's number.

    Raises:
        ValueError: no id of an attempt.
    """
    match = _ATTEMPT_ID.fullmatch(text)
    if match is None:
        raise ValueError("no id of an attempt")
    read_run_id(match[1])
    return match[1], int(match[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The answer to a wish for a run.

    Attributes:
        is_new: this call began the run's attempt.
        follows: the failed attempt before it.
    """

    run: Run
    is_new: bool
    follows: Run | None = None


class Executor(Protocol):
    """Carries runs out; knows about them from durable state only."""

    def start(self, wanted: Wanted) -> Launch:
        """The run as it is; a new attempt where there was none or the last one has failed.

        Raises:
            RetryableError: it is not known whether the run was started; the same call again finds out.
        """

    def find(self, run_id: str) -> Run | None:
        """The run, or None where it was never started.

        Raises:
            RetryableError: the executor does not answer.
        """
