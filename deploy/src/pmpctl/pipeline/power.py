"""The calls that start and stop what runs and costs in a project."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from pmp_schema.topology import TOPOLOGY
from pmpctl.calls import Call
from pmpctl.cloud import dataflow, schedules, submitters
from pmpctl.cloud.clients import Google
from pmpctl.cloud.schedules import Schedule
from pmpctl.cloud.submitters import Submitter
from pmpctl.errors import CommandError
from pmpctl.pipeline.state import STREAMING, State

POLL_S: Final = 10.0
START_TIMEOUT_S: Final = 1200.0  # an image is pulled, a job submitted, workers started
END_TIMEOUT_S: Final = 3600.0  # a drain writes everything that the job acknowledged


def chosen_engine(found: Sequence[Schedule], wanted: str | None) -> str | None:
    """The feature engine whose schedule is to run; None if no schedule has an engine.

    Raises:
        CommandError: the engine has no schedule, or a choice between engines is needed.
    """
    engines = sorted({s.engine for s in found if s.engine})
    if wanted is not None and wanted not in engines:
        raise CommandError(
            f"--engine {wanted} has no schedule; engines with a schedule: {', '.join(engines) or 'none'}"
        )
    if wanted is None and len(engines) > 1:
        raise CommandError(
            f"schedules of several engines are deployed: choose one with --engine {'|'.join(engines)}"
        )
    return wanted or (engines[0] if engines else None)


def start(state: State, wanted_engine: str | None) -> tuple[Call, ...]:
    """Starts the streaming jobs that do not run, then resumes schedules; running jobs are left alone.

    Raises:
        CommandError: nothing is deployed, or an old job is still ending.
    """
    if not state.schedules and not state.submitters:
        raise CommandError("nothing is deployed here: run `terraform apply` first")
    ending = [job for job in state.jobs if job.ending and job.streaming]
    if ending:
        names = ", ".join(f"{job.name} is {job.state}" for job in ending)
        raise CommandError(
            f"{names}: repeat `up` when it has ended (`gcloud dataflow jobs list --status=active`)"
        )
    engine = chosen_engine(state.schedules, wanted_engine)
    other = [s for s in state.schedules if s.engine not in {None, engine}]
    return (
        *(submitters.submit(x) for x in _to_submit(state)),
        *schedules.pause(other),
        *schedules.resume([s for s in state.schedules if s not in other]),
    )


def end(google: Google, state: State, *, cancel: bool) -> tuple[Call, ...]:
    """Pauses schedules, stops running submitter jobs, drains or cancels Dataflow jobs."""
    return (
        *schedules.pause(state.schedules),
        *(submitters.interrupt(x) for x in state.submitters if x.running),
        *dataflow.stop(google, state.jobs, cancel=cancel),
    )


def starts_job(call: Call) -> bool:
    """Whether a call starts a streaming job."""
    return call.method == "run_job"


def resumes_beam(state: State, calls: Sequence[Call]) -> bool:
    """Whether the calls resume a schedule whose feature runs are Dataflow jobs."""
    resumed = {call.request["name"] for call in calls if call.method == "resume_job"}
    return any(s.name in resumed for s in state.schedules if s.engine == "beam")


def wait_until_started(
    google: Google, before: State, show: Callable[[str], None], pause: Callable[[float], None]
) -> State:
    """Waits until every streaming job runs.

    Raises:
        CommandError: a submitter job or a Dataflow job failed, or it takes too long.
    """
    earlier_executions = {x.pipeline: x.latest for x in before.submitters}
    earlier_jobs = {job.id for job in dataflow.read_jobs(google, ended=True)}
    for _ in range(int(START_TIMEOUT_S / POLL_S)):
        state = State(google)
        if not state.idle:
            return state
        _raise_failed(google, state, earlier_executions, earlier_jobs)
        show(f"waiting for {', '.join(state.idle)}")
        pause(POLL_S)
    idle = ", ".join(State(google).idle)
    raise CommandError(f"not running after {START_TIMEOUT_S / 60:.0f} minutes: {idle}")


def wait_until_idle(google: Google, show: Callable[[str], None], pause: Callable[[float], None]) -> State:
    """Waits until nothing works, for an hour at most; returns the state at the end."""
    state = State(google)
    for _ in range(int(END_TIMEOUT_S / POLL_S)):
        if not state.working:
            break
        show("; ".join(state.working))
        pause(POLL_S)
        state = State(google)
    return state


def as_json(state: State) -> dict[str, Any]:
    schedules = [asdict(schedule) for schedule in state.schedules]
    return {
        "schedules": [
            {name: schedule[name] for name in schedule if name != "name"} for schedule in schedules
        ],
        "jobs": [asdict(job) for job in state.jobs],
        "launchers": [{"pipeline": x.pipeline, "outcome": x.outcome} for x in state.submitters],
        "kept": state.kept,
        "broken": state.broken,
    }


def _to_submit(state: State) -> list[Submitter]:
    active = {job.name for job in state.jobs}
    return [
        x
        for x in state.submitters
        if x.pipeline in STREAMING and not x.running and TOPOLOGY.jobs[x.pipeline] not in active
    ]


def _raise_failed(
    google: Google, state: State, earlier_executions: Mapping[str, str | None], earlier_jobs: Collection[str]
) -> None:
    """Reports a submitter job that failed now, and a Dataflow job that was submitted and has ended already."""
    active = {job.name for job in state.jobs}
    for x in state.submitters:
        if x.pipeline not in STREAMING:
            continue
        if x.outcome in {"FAILED", "CANCELLED"} and x.latest != earlier_executions.get(x.pipeline):
            logs = f"gcloud logging read 'resource.labels.job_name=\"{TOPOLOGY.launchers[x.pipeline]}\"'"
            raise CommandError(f"the submitter job of {x.pipeline} is {x.outcome}: see `{logs}`")
        name = TOPOLOGY.jobs[x.pipeline]
        if x.outcome != "SUCCEEDED" or name in active:
            continue
        for job in dataflow.read_jobs(google, ended=True):
            if job.name == name and not job.active and job.id not in earlier_jobs:
                logs = f"gcloud logging read 'resource.labels.job_id=\"{job.id}\"'"
                raise CommandError(f"job {job.name} ({job.id}) is {job.state}: see `{logs}`")
