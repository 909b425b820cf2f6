"""`pmpctl features backfill`: one feature run for each of many times, some of them at once, in order."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rich.table import Table

from pmp_schema.timestamps import format_timestamp, parse_timestamp
from pmpctl.calls import Request
from pmpctl.features import launcher
from pmpctl.features.launcher import FeatureRun
from pmpctl.features.times import KnownAt
from pmpctl.session import Session
from pmpctl.terminal import cell, plural

ATTEMPTS: Final = 3
POLL_S: Final = 2.0


class Launcher:
    """The feature-launcher, with the options of one backfill.

    Raises:
        CommandError: from `start` and `look`: it refuses, or does not answer for half a minute.
    """

    def __init__(self, session: Session, engine: str | None, known_at: KnownAt) -> None:
        self._session = session
        self._engine = engine
        self._known_at = known_at

    def request(self, as_of: datetime) -> Request:
        bound = self._known_at.bound(as_of)
        return launcher.run_request(
            self._session,
            as_of=format_timestamp(as_of),
            known_at=None if bound is None else format_timestamp(bound),
            engine=self._engine,
        )

    def start(self, as_of: datetime) -> FeatureRun:
        """The feature run of a time; a new attempt if there is none that is active or has succeeded."""
        return launcher.ask(self._session, self.request(as_of))

    def look(self, run: FeatureRun) -> FeatureRun:
        """The feature run as it is now."""
        return launcher.look(self._session, str(run["run_id"]))


def fill(
    times: Sequence[datetime], service: Launcher, *, at_once: int, pause: Callable[[float], None]
) -> Iterator[tuple[datetime, FeatureRun]]:
    """Starts the feature runs in order and yields each one when it has ended; one that fails is tried again.

    If the caller stops early, active runs go on by themselves, and the next backfill finds them.

    Args:
        at_once: the most active runs.
        pause: waits some seconds.
    """
    waiting = deque(times)
    active: dict[datetime, FeatureRun] = {}
    attempts = dict.fromkeys(times, 0)

    def start(as_of: datetime) -> None:
        attempts[as_of] += 1
        active[as_of] = service.start(as_of)

    while waiting or active:
        while waiting and len(active) < at_once:
            start(waiting.popleft())
        ended = [as_of for as_of, run in active.items() if _is_over(run, attempts[as_of])]
        for as_of in ended:
            yield as_of, active.pop(as_of)
        if ended:
            continue
        pause(POLL_S)
        for as_of, run in list(active.items()):
            if run["status"] == "failed":
                start(as_of)
            else:
                active[as_of] = service.look(run)


def _is_over(run: FeatureRun, attempts: int) -> bool:
    return run["status"] == "succeeded" or (run["status"] == "failed" and attempts >= ATTEMPTS)


@dataclass(slots=True, kw_only=True)
class Report:
    """The result of a backfill.

    Attributes:
        times: number of requested times.
        there: number of times that had rows before.
        filled: number of times that were computed now.
        failed: runs that were given up, by time.
        later: times whose rows may know more than the options allow, with their `known_at`.
    """

    times: int
    there: int
    known_at: KnownAt
    filled: int = 0
    failed: dict[datetime, FeatureRun] = field(default_factory=dict)
    later: dict[datetime, datetime] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return self.there + self.filled == self.times and not self.later

    def add(self, as_of: datetime, run: FeatureRun) -> None:
        if run["status"] == "failed":
            self.failed[as_of] = run
            return
        self.filled += 1
        self.compare(as_of, parse_timestamp(run["known_at"]))

    def compare(self, as_of: datetime, known_at: datetime) -> None:
        """Adds the time to `later` if its rows may know more than the options allow."""
        if not self.known_at.allows(as_of, known_at):
            self.later[as_of] = known_at

    def as_json(self) -> dict[str, Any]:
        return {
            "times": self.times,
            "there": self.there,
            "filled": self.filled,
            "failed": [
                {"as_of": as_of, "run_id": run["run_id"], "error": run.get("error")}
                for as_of, run in self.failed.items()
            ],
            "later": [{"as_of": as_of, "known_at": known_at} for as_of, known_at in self.later.items()],
        }

    def __str__(self) -> str:
        unfinished = self.times - self.there - self.filled - len(self.failed)
        counts = f"{plural(self.times, 'time')}: {self.filled:,} computed, {self.there:,} already present"
        counts += f", {len(self.failed):,} failed" if self.failed else ""
        counts += f", {unfinished:,} not started or still running" if unfinished else ""
        return counts + (f"; {len(self.later):,} may know more than the options allow" if self.later else "")

    def problems(self) -> Table:
        """The times that failed, and those whose rows may know too much."""
        table = Table("as_of", "problem")
        for as_of, run in self.failed.items():
            problem = f"{run['run_id']} failed: {run.get('error', 'without a reason')}"
            table.add_row(format_timestamp(as_of), cell(problem))
        for as_of, known_at in self.later.items():
            table.add_row(format_timestamp(as_of), f"its rows know events until {format_timestamp(known_at)}")
        return table
