"""Cloud Run jobs that submit the pipelines to Dataflow."""

from dataclasses import dataclass
from typing import Any

from pmp_schema.topology import TOPOLOGY
from pmpctl.calls import Call
from pmpctl.cloud.clients import Google, short_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitter:
    """A submitter job: the Cloud Run job that submits a pipeline to Dataflow.

    Attributes:
        pipeline: key of the topology's jobs.
        name: full resource name.
        args: arguments of its container.
        latest: full name of its newest execution; None if it never ran.
        outcome: that execution's outcome: `RUNNING`, `SUCCEEDED`, `FAILED` and so on.
    """

    pipeline: str
    name: str
    args: tuple[str, ...]
    latest: str | None
    outcome: str | None

    @property
    def running(self) -> bool:
        return self.outcome in {"RUNNING", "PENDING"}


def read_submitters(google: Google) -> tuple[Submitter, ...]:
    """The deployed submitter jobs, in the topology's order."""
    jobs = google.read_all("run.jobs", "list_jobs", {"parent": google.parent})
    by_id = {short_name(job.name): job for job in jobs}
    return tuple(
        _submitter(pipeline, by_id[TOPOLOGY.launchers[pipeline]])
        for pipeline in TOPOLOGY.jobs
        if TOPOLOGY.launchers[pipeline] in by_id
    )


def submit(submitter: Submitter) -> Call:
    return Call("run.jobs", "run_job", {"name": submitter.name}, repeatable=False)


def update(submitter: Submitter) -> Call:
    """Replaces the running job with one from the submitter job's image, which takes over its state."""
    overrides = {"container_overrides": [{"args": [*submitter.args, "--update"]}]}
    return Call("run.jobs", "run_job", {"name": submitter.name, "overrides": overrides}, repeatable=False)


def interrupt(submitter: Submitter) -> Call:
    return Call("run.executions", "cancel_execution", {"name": submitter.latest})


def _submitter(pipeline: str, job: Any) -> Submitter:
    latest = job.latest_created_execution
    containers = job.template.template.containers
    return Submitter(
        pipeline=pipeline,
        name=job.name,
        args=tuple(containers[0].args) if containers else (),
        latest=f"{job.name}/executions/{latest.name}" if latest.name else None,
        outcome=_outcome(latest) if latest.name else None,
    )


def _outcome(latest: Any) -> str:
    status: str = latest.completion_status.name.removeprefix("EXECUTION_")
    if status != "COMPLETION_STATUS_UNSPECIFIED":
        return status
    return "SUCCEEDED" if latest.completion_time else "RUNNING"
