"""A feature run as the launcher knows it: at its last attempt, and what an executor does with it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pmp_schema.features.runs import Status, Wanted, attempt_id
from pmp_schema.timestamps import format_timestamp


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
