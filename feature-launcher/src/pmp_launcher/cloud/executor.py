"""Runs whose attempts are claimed by BigQuery jobs, wherever the work itself is done.

A claim is a job that selects a constant; its id is the attempt's. Of all who ask for it at once, in any instance, one
gets it, and that one submits the work. Who cannot submit it says so by a second job, `<attempt>-void`; who dies before
has a while, after which the attempt has failed. So the state of a run is in BigQuery and where the work is, and nowhere
else. Where work is forgotten earlier than its claim, the attempt has ended as was told.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final, Protocol
from uuid import uuid4

from google.cloud import bigquery

from pmp_launcher.cloud.jobs import Jobs
from pmp_launcher.feature_run import Launch, Run
from pmp_schema.errors import RetryableError
from pmp_schema.features import Statement
from pmp_schema.features.runs import Status, Wanted, attempt_id
from pmp_schema.timestamps import from_micros, to_micros

# For closing the days and submitting, in which every call is bounded.
SUBMITTED_WITHIN: Final = timedelta(minutes=5)
NEVER_SUBMITTED: Final = "could not be submitted"
NO_TRACE: Final = "was not submitted, or nobody has told how it ended"
_CLAIM: Final = Statement("SELECT 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far submitted work is; the fields are those of a run."""

    status: Status
    started_at: datetime | None = None
    finished_at: datetime | None = None
    rows: int | None = None
    error: str | None = None


class Work(Protocol):
    """Does what a claimed attempt is for. Every method raises RetryableError.

    Attributes:
        name: of the executor.
    """

    name: str

    def submit(self, run: Run, *, deadline_s: float) -> None:
        """Begins the work of an attempt, to be ended where it is done after the deadline."""

    def progress(self, run: Run) -> Progress | None:
        """None where nothing was submitted, or it has ended and is no longer known."""

    def cancel(self, run: Run) -> None:
        """Asks for the end of the work."""


class Ends(Protocol):
    """How attempts have ended that their work does not know of."""

    def __call__(self, run: Run) -> Progress | None:
        """None where nobody has told.

        Raises:
            RetryableError: it is not known now.
        """


class ClaimedExecutor:
    """See `Executor`.

    Args:
        told: asked where the work knows nothing of an attempt.
        deadline_s: seconds that an attempt may take from its claim.
        now: aware UTC clock.
    """

    def __init__(
        self, jobs: Jobs, work: Work, *, told: Ends, deadline_s: float, now: Callable[[], datetime]
    ) -> None:
        self._jobs = jobs
        self.work = work
        self._told = told
        self._deadline_s = deadline_s
        self._now = now

    def start(self, wanted: Wanted) -> Launch:
        failed: Run | None = None
        for attempt in count(1):
            run = self._attempt(wanted.run_id, attempt)
            if run is None:
                if self._claim(wanted, attempt):
                    return Launch(run=self._submit(wanted, attempt), is_new=True, follows=failed)
                run = self._attempt(wanted.run_id, attempt)
                if run is None:
                    raise RetryableError(f"{attempt_id(wanted.run_id, attempt)} is claimed and not there")
            if run.status is not Status.FAILED:
                return Launch(run=run, is_new=False)
            failed = run
        raise AssertionError("attempts have no end")

    def find(self, run_id: str) -> Run | None:
        found: Run | None = None
        for attempt in count(1):
            run = self._attempt(run_id, attempt)
            if run is None:
                break
            found = run
        return found

    def _claim(self, wanted: Wanted, attempt: int) -> bool:
        """Whether the attempt is this call's own."""
        owner = uuid4().hex
        labels = {"owner": owner, "known_at_us": str(to_micros(wanted.known_at))}
        job_id = attempt_id(wanted.run_id, attempt)
        if self._jobs.insert(job_id, _CLAIM, labels=labels):
            return True
        # The answer to an insert that succeeded may have been lost, and the insert repeated.
        claim = self._jobs.get(job_id)
        return claim is not None and claim.labels.get("owner") == owner

    def _submit(self, wanted: Wanted, attempt: int) -> Run:
        at = self._now()
        run = self._run(wanted, attempt, at, Progress(status=Status.REQUESTED))
        try:
            self.work.submit(run, deadline_s=self._deadline_s)
        except RetryableError as error:
            self._jobs.insert(f"{run.attempt_id}-void", _CLAIM)
            lost = Progress(
                status=Status.FAILED, finished_at=self._now(), error=f"{NEVER_SUBMITTED}: {error}"
            )
            return self._run(wanted, attempt, at, lost)
        return self._run(wanted, attempt, at, Progress(status=Status.STARTED, started_at=self._now()))

    def _attempt(self, run_id: str, attempt: int) -> Run | None:
        """An attempt as it is; None where nobody has claimed it."""
        claim = self._jobs.get(attempt_id(run_id, attempt))
        if claim is None:
            return None
        known_at = from_micros(int(claim.labels["known_at_us"]))
        claimed_at = claim.created.astimezone(UTC)
        wanted = Wanted.of_run(run_id, known_at)
        run = self._run(wanted, attempt, claimed_at, Progress(status=Status.REQUESTED))
        progress = self.work.progress(run)
        if progress is None:
            progress = self._unknown(run)
        elif not progress.status.has_ended and self._now() > claimed_at + self._deadline:
            self.work.cancel(run)
            progress = _overdue(progress, claimed_at + self._deadline, self._deadline_s)
        return self._run(wanted, attempt, claimed_at, progress)

    def _unknown(self, run: Run) -> Progress:
        void: bigquery.QueryJob | None = self._jobs.get(f"{run.attempt_id}-void")
        latest = run.requested_at + SUBMITTED_WITHIN
        if void is None and self._now() <= latest:
            return Progress(status=Status.REQUESTED)
        if end := self._told(run):
            return end
        if void is None:
            return Progress(status=Status.FAILED, finished_at=latest, error=NO_TRACE)
        return Progress(status=Status.FAILED, finished_at=void.created, error=NEVER_SUBMITTED)

    @property
    def _deadline(self) -> timedelta:
        return timedelta(seconds=self._deadline_s)

    def _run(self, wanted: Wanted, attempt: int, requested_at: datetime, progress: Progress) -> Run:
        return Run(
            wanted=wanted,
            executor=self.work.name,
            attempt=attempt,
            status=progress.status,
            requested_at=requested_at,
            started_at=progress.started_at,
            finished_at=progress.finished_at,
            rows=progress.rows,
            error=progress.error,
        )


def _overdue(progress: Progress, at: datetime, deadline_s: float) -> Progress:
    error = f"deadline of {deadline_s:g} s"
    return Progress(status=Status.FAILED, started_at=progress.started_at, finished_at=at, error=error)
