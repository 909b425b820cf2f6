"""The contract of a feature run: engines, ids, states, and the ops events of which pmp_ops.feature_runs is made.

Several processes may publish the same event: the one that carries a run out, the one that watches it, and the launcher
that looks later. An event's id is made from the attempt and the status, so the view counts it once.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

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


def event_type(status: Status) -> str:
    return f"feature_run.{status}"


def event_id(attempt: str, status: Status) -> str:
    """The id of an attempt's event."""
    return f"{attempt}-{status}"


def event_data(wanted: Wanted, **more: Any) -> dict[str, Any]:
    """The data of a run's event: what was asked for, then what is known of the attempt."""
    return {
        "as_of": format_timestamp(wanted.as_of),
        "known_at": format_timestamp(wanted.known_at),
        "engine": str(wanted.engine),
        **more,
    }
