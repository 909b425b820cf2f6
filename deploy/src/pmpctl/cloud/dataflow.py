"""Dataflow jobs of the pipelines, and the calls that end them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pmp_schema.topology import TOPOLOGY
from pmpctl.calls import Call
from pmpctl.cloud.clients import Google
from pmpctl.errors import CommandError

ENDING: Final = frozenset({"DRAINING", "CANCELLING"})
# Dataflow drains running jobs only; a job that waits for workers has taken no messages yet.
_NOT_YET: Final = frozenset({"PENDING", "QUEUED"})
_ENDED: Final = frozenset({"DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED"})
_PREFIX: Final = "JOB_STATE_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A Dataflow job.

    Attributes:
        state: without its prefix, for example `RUNNING`.
        since: when it entered its state.
        created: when it was submitted.
    """

    id: str
    name: str
    state: str
    streaming: bool
    since: datetime
    created: datetime

    @property
    def active(self) -> bool:
        return self.state not in _ENDED

    @property
    def ending(self) -> bool:
        return self.state in ENDING


def read_jobs(google: Google, *, ended: bool = False) -> tuple[Job, ...]:
    """Active jobs of the topology's pipelines, newest first; with `ended` also jobs that have ended.

    A batch job has the name of its pipeline's streaming job and a suffix.
    """
    request = {
        "project_id": google.project,
        "location": google.region,
        "filter": "ALL" if ended else "ACTIVE",
    }
    jobs = [_job(job) for job in google.read_all("dataflow", "list_jobs", request) if _is_ours(job.name)]
    return tuple(sorted(jobs, key=lambda job: job.created, reverse=True))


def find_active(google: Google, name: str) -> Job:
    """The active job with a name.

    Raises:
        CommandError: no job or more than one job is active.
    """
    found = [job for job in read_jobs(google) if job.name == name]
    if len(found) != 1:
        ids = ", ".join(job.id for job in found) or "none"
        raise CommandError(f"{name}: one active job is needed; active: {ids}")
    return found[0]


def stop(google: Google, jobs: Iterable[Job], *, cancel: bool) -> tuple[Call, ...]:
    """Drains jobs, which writes the messages that they acknowledged; or cancels them, which loses those messages.

    A batch job cannot be drained; it ends by itself. A job that has not started is cancelled. A job that is ending is
    left alone, but a drain can be cancelled.
    """
    if cancel:
        return tuple(_end(google, j, "CANCELLED") for j in jobs if j.active and j.state != "CANCELLING")
    return tuple(
        _end(google, j, "CANCELLED" if j.state in _NOT_YET else "DRAINED")
        for j in jobs
        if j.active and j.streaming and not j.ending
    )


def _is_ours(job_name: str) -> bool:
    return any(job_name == name or job_name.startswith(f"{name}-") for name in TOPOLOGY.jobs.values())


def _end(google: Google, job: Job, state: str) -> Call:
    return Call(
        "dataflow",
        "update_job",
        {
            "project_id": google.project,
            "location": google.region,
            "job_id": job.id,
            "job": {"requested_state": _PREFIX + state},
        },
    )


def _job(job: Any) -> Job:
    return Job(
        id=job.id,
        name=job.name,
        state=job.current_state.name.removeprefix(_PREFIX),
        streaming=job.type_.name == "JOB_TYPE_STREAMING",
        since=job.current_state_time,
        created=job.create_time,
    )
