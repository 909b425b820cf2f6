"""Cloud Scheduler: the topology's schedules, and the calls that pause and resume them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pmp_schema.topology import TOPOLOGY
from pmpctl.calls import Call
from pmpctl.cloud.clients import Google, short_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job of Cloud Scheduler.

    Attributes:
        name: full resource name.
        state: `ENABLED`, `PAUSED` and so on.
        engine: the feature engine in its request body, if there is one.
        last_attempt: time of its newest call; None if it never called.
        last_code: that call's google.rpc.Code; 0 is success.
    """

    id: str
    name: str
    state: str
    timing: str
    engine: str | None
    last_attempt: datetime | None
    last_code: int


def read_schedules(google: Google) -> tuple[Schedule, ...]:
    """The topology's schedules that exist, sorted by id."""
    known = {schedule.id for schedule in TOPOLOGY.schedules}
    jobs = google.read_all("scheduler", "list_jobs", {"parent": google.parent})
    found = (_schedule(job) for job in jobs if short_name(job.name) in known)
    return tuple(sorted(found, key=lambda schedule: schedule.id))


def resume(schedules: Sequence[Schedule]) -> tuple[Call, ...]:
    """Cloud Scheduler resumes paused schedules only."""
    return tuple(_call("resume_job", schedule) for schedule in schedules if schedule.state == "PAUSED")


def pause(schedules: Sequence[Schedule]) -> tuple[Call, ...]:
    return tuple(_call("pause_job", schedule) for schedule in schedules if schedule.state == "ENABLED")


def _call(method: str, schedule: Schedule) -> Call:
    return Call("scheduler", method, {"name": schedule.name})


def _schedule(job: Any) -> Schedule:
    return Schedule(
        id=short_name(job.name),
        name=job.name,
        state=job.state.name,
        timing=job.schedule,
        engine=_engine(job.http_target.body),
        last_attempt=job.last_attempt_time or None,
        last_code=job.status.code,
    )


def _engine(body: bytes) -> str | None:
    try:
        wanted = json.loads(body or b"{}")
    except ValueError:
        return None  # a body that was edited by hand
    engine = wanted.get("engine") if isinstance(wanted, dict) else None
    return engine if isinstance(engine, str) else None
