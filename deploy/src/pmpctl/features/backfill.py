"""`pmpctl features backfill`: one run of the feature-launcher per point in time, some at once, in order."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from rich.table import Table

from pmp_schema.timestamps import format_timestamp, parse_timestamp
from pmpctl.calls import Request
from pmpctl.features import requests
from pmpctl.features.times import KnownAt
from pmpctl.session import Session
from pmpctl.terminal import cell

ATTEMPTS: Final = 3
POLL_S: Final = 2.0

Run = Mapping[str, Any]
"""As the launcher answers."""


class Launcher(Protocol):
    """Raises:
    CommandError: it refuses, or does not answer for long.
    """

    def start(self, as_of: datetime) -> Run:
        """The run of a time: a new attempt where there is none that is active or has succeeded."""

    def find(self, run: Run) -> Run:
        """The run as it is now."""


class CalledLauncher:
    """The service, asked again where it does not answer for the moment.

    Args:
        engine: the launcher's own where it is not given.
    """

    def __init__(self, session: Session, engine: str | None, known_at: KnownAt) -> None:
        self._session = session
        self._engine = engine
        self._known_at = known_at

    def request(self, as_of: datetime) -> Request:
        bound = self._known_at.bound(as_of)
        return requests.run_request(
            self._session.url("launcher"),
            as_of=format_timestamp(as_of),
            known_at=None if bound is None else format_timestamp(bound),
            engine=self._engine,
        )

    def start(self, as_of: datetime) -> Run:
        return requests.ask(self._session, self.request(as_of))

    def find(self, run: Run) -> Run:
        request = requests.status_request(self._session.url("launcher"), str(run["run_id"]))
        return requests.ask(self._session, request)


@dataclass(frozen=True, slots=True)
class _Tried:
    run: Run
    attempts: int


def fill(
    times: Sequence[datetime], launcher: Launcher, *, at_once: int, pause: Callable[[float], None]
) -> Iterator[tuple[datetime, Run]]:
    """Starts the runs in order and gives each one when it has ended; one that fails is tried again.

    Whoever stops taking leaves runs that go on by themselves, and that the next backfill joins.

    Args:
        at_once: runs that are under way at most.
        pause: waits some seconds.
    """
    waiting = deque(times)
    active: dict[datetime, _Tried] = {}
    while waiting or active:
        while waiting and len(active) < at_once:
            as_of = waiting.popleft()
            active[as_of] = _Tried(launcher.start(as_of), 1)
        ended = [as_of for as_of, tried in active.items() if _is_over(tried)]
        for as_of in ended:
            yield as_of, active.pop(as_of).run
        if not ended:
            pause(POLL_S)
            active = {as_of: _go_on(as_of, tried, launcher) for as_of, tried in active.items()}


def _is_over(tried: _Tried) -> bool:
    status = tried.run["status"]
    return status == "succeeded" or (status == "failed" and tried.attempts >= ATTEMPTS)


def _go_on(as_of: datetime, tried: _Tried, launcher: Launcher) -> _Tried:
    if tried.run["status"] == "failed":
        return _Tried(launcher.start(as_of), tried.attempts + 1)
    return _Tried(launcher.find(tried.run), tried.attempts)


@dataclass(slots=True, kw_only=True)
class Report:
    """What a backfill has come to.

    Attributes:
        times: that were asked for.
        there: that had their rows before.
        filled: that have them now.
        failed: the runs that were given up, by time.
        later: times whose rows may know more than was asked for, with their `known_at`.
    """

    times: int
    there: int
    known_at: KnownAt
    filled: int = 0
    failed: dict[datetime, Run] = field(default_factory=dict)
    later: dict[datetime, datetime] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return self.there + self.filled == self.times and not self.later

    def add(self, as_of: datetime, run: Run) -> None:
        if run["status"] == "failed":
            self.failed[as_of] = run
            return
        self.filled += 1
        self.compare(as_of, parse_timestamp(run["known_at"]))

    def compare(self, as_of: datetime, known_at: datetime) -> None:
        """Notes rows that may know more than was asked for."""
        if not self.known_at.allows(as_of, known_at):
            self.later[as_of] = known_at

    def as_json(self) -> dict[str, Any]:
        return {
            "times": self.times,
            "there": self.there,
            "filled": self.filled,
            "failed": [
                {"as_of": format_timestamp(as_of), "run_id": run["run_id"], "error": run.get("error")}
                for as_of, run in self.failed.items()
            ],
            "later": [
                {"as_of": format_timestamp(as_of), "known_at": format_timestamp(at)}
                for as_of, at in self.later.items()
            ],
        }

    def __str__(self) -> str:
        missing = self.times - self.there - self.filled - len(self.failed)
        told = f"{self.times:,} times: {self.filled:,} filled, {self.there:,} there before"
        told += f", {len(self.failed):,} failed" if self.failed else ""
        told += f", {missing:,} not begun or under way" if missing else ""
        return told + (f"; {len(self.later):,} know more than was asked for" if self.later else "")


def problems_table(report: Report) -> Table:
    """The times that are not as they were asked for."""
    table = Table("as_of", "problem")
    for as_of, run in report.failed.items():
        table.add_row(
            format_timestamp(as_of),
            cell(f"{run['run_id']} failed: {run.get('error', 'it does not say why')}"),
        )
    for as_of, known_at in report.later.items():
        table.add_row(
            format_timestamp(as_of), f"its rows were made with what was known at {format_timestamp(known_at)}"
        )
    return table
