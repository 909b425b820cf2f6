"""The calls that start and end what runs and costs in a project."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from pmp_schema.topology import TOPOLOGY
from pmpctl.calls import Call
from pmpctl.cloud import dataflow, launchers, schedules
from pmpctl.cloud.clients import Google
from pmpctl.cloud.dataflow import Job
from pmpctl.cloud.launchers import Launcher
from pmpctl.cloud.schedules import Schedule
from pmpctl.errors import CommandError
from pmpctl.pipeline.state import STREAMING, State, read_state

POLL_S: Final = 10.0
START_TIMEOUT_S: Final = 1200.0  # an image is pulled, a job submitted, workers started
END_TIMEOUT_S: Final = 3600.0  # a drain writes all that the job has taken


def chosen_engine(found: Sequence[Schedule], wanted: str | None) -> str | None:
    """The feature engine whose schedule shall run; None where no schedule asks for one.

    Raises:
        CommandError: the engine has no schedule, or there are several and none was chosen.
    """
    engines = sorted({s.engine for s in found if s.engine})
    if wanted is not None and wanted not in engines:
        raise CommandError(f"--engine {wanted}: no schedule asks for it; there are: {engines or 'none'}")
    if wanted is None and len(engines) > 1:
        raise CommandError(f"schedules of several engines: choose one by --engine {'|'.join(engines)}")
    return wanted or (engines[0] if engines else None)


def start(state: State, wanted_engine: str | None) -> tuple[Call, ...]:
    """Runs the launchers of streaming jobs that do not run, then resumes schedules; nothing that runs is touched.

    Raises:
        CommandError: nothing is deployed, or an old job has not ended yet.
    """
    if not state.schedules and not state.launchers:
        raise CommandError("nothing is deployed here: run `terraform apply` first")
    ending = [job for job in state.jobs if job.ending and job.streaming]
    if ending:
        names = ", ".join(f"{job.name} is {job.state}" for job in ending)
        raise CommandError(
            f"{names}: start again when it has ended (`gcloud dataflow jobs list --status=active`)"
        )
    engine = chosen_engine(state.schedules, wanted_engine)
    other = [s for s in state.schedules if s.engine not in {None, engine}]
    return (
        *(launchers.launch(x) for x in _to_launch(state)),
        *schedules.pause(other),
        *schedules.resume([s for s in state.schedules if s not in other]),
    )


def end(google: Google, state: State, *, cancel: bool) -> tuple[Call, ...]:
    """Pauses schedules, stops launchers in the act, drains or cancels jobs."""
    return (
        *schedules.pause(state.schedules),
        *(launchers.interrupt(x) for x in state.launchers if x.running),
        *dataflow.stop(google, state.jobs, cancel=cancel),
    )


def starts_job(call: Call) -> bool:
    """Whether a call runs the launcher of a streaming job."""
    return call.method == "run_job"


def resumes_beam(state: State, calls: Sequence[Call]) -> bool:
    """Whether the calls resume a schedule whose runs are Dataflow jobs."""
    resumed = {call.request["name"] for call in calls if call.method == "resume_job"}
    return any(s.name in resumed for s in state.schedules if s.engine == "beam")


def wait_until_started(
    google: Google, before: State, tell: Callable[[str], None], pause: Callable[[float], None]
) -> State:
    """Waits until every streaming job runs.

    Raises:
        CommandError: a launcher or a job failed, or it takes too long.
    """
    launched = {x.pipeline: x.latest for x in before.launchers}
    known = {job.id for job in _all_jobs(google)}
    for _ in range(int(START_TIMEOUT_S / POLL_S)):
        state = read_state(google)
        if not state.idle:
            return state
        _raise_failed(state, launched)
        _raise_ended(google, state, known)
        tell(f"waiting for {', '.join(state.idle)}")
        pause(POLL_S)
    idle = ", ".join(read_state(google).idle)
    raise CommandError(f"not running after {START_TIMEOUT_S / 60:.0f} minutes: {idle}")


def wait_until_idle(
    read: Callable[[], State], tell: Callable[[str], None], pause: Callable[[float], None]
) -> State:
    """Waits until nothing works; gives what is left after an hour otherwise."""
    state = read()
    for _ in range(int(END_TIMEOUT_S / POLL_S)):
        if not state.working:
            break
        tell("; ".join(state.working))
        pause(POLL_S)
        state = read()
    return state


def as_json(state: State) -> dict[str, object]:
    """For programs; times are written as RFC 3339 by `dump`."""
    return {
        "schedules": [
            {
                "id": s.id,
                "state": s.state,
                "timing": s.timing,
                "engine": s.engine,
                "last_attempt": s.last_attempt,
                "last_code": s.last_code,
            }
            for s in state.schedules
        ],
        "jobs": [job_json(job) for job in state.jobs],
        "launchers": [{"pipeline": x.pipeline, "outcome": x.outcome} for x in state.launchers],
        "kept": list(state.kept),
        "broken": list(state.broken),
    }


def job_json(job: Job) -> dict[str, object]:
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "since": job.since,
        "created": job.created,
        "streaming": job.streaming,
    }


def _to_launch(state: State) -> list[Launcher]:
    active = {job.name for job in state.jobs}
    return [
        x
        for x in state.launchers
        if x.pipeline in STREAMING and not x.running and TOPOLOGY.jobs[x.pipeline] not in active
    ]


def _raise_failed(state: State, before: Mapping[str, str | None]) -> None:
    for x in state.launchers:
        failed = x.outcome in {"FAILED", "CANCELLED"} and x.latest != before.get(x.pipeline)
        if failed and x.pipeline in STREAMING:
            job = TOPOLOGY.launchers[x.pipeline]
            command = f"gcloud logging read 'resource.labels.job_name=\"{job}\"'"
            raise CommandError(f"the launcher of {x.pipeline} is {x.outcome}: see `{command}`")


def _raise_ended(google: Google, state: State, known: Collection[str]) -> None:
    """A job that was submitted and is not active any more."""
    active = {job.name for job in state.jobs}
    for x in state.launchers:
        name = TOPOLOGY.jobs[x.pipeline]
        if x.pipeline not in STREAMING or x.outcome != "SUCCEEDED" or name in active:
            continue
        for job in _all_jobs(google):
            if job.name == name and not job.active and job.id not in known:
                command = f"gcloud logging read 'resource.labels.job_id=\"{job.id}\"'"
                raise CommandError(f"job {job.name} ({job.id}) is {job.state}: see `{command}`")


def _all_jobs(google: Google) -> tuple[Job, ...]:
    return dataflow.read_jobs(google, set(TOPOLOGY.jobs.values()), ended=True)
