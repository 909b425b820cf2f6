"""The Beam engine: the work of an attempt is an execution of a Cloud Run job, whose container submits to Dataflow."""

from datetime import UTC, datetime
from typing import Any, Final

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud import run_v2
from google.protobuf.duration_pb2 import Duration

from pmp_launcher.cloud.executor import Progress
from pmp_launcher.feature_run import Run
from pmp_runtime.retry import retrying
from pmp_schema.errors import RetryableError
from pmp_schema.features.runs import Status
from pmp_schema.timestamps import format_timestamp

_FAILURES: Final = (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError)
_FAILED: Final = run_v2.Condition.State.CONDITION_FAILED


class CloudRunUnavailable(RetryableError):
    """Cloud Run does not answer, or not with what was asked for."""


class CloudRunWork:
    """See `Work`; an execution is known by the attempt's id among its arguments.

    Args:
        job: `projects/P/locations/L/jobs/J`.
        timeout_s: seconds for one call, retries included.
    """

    name = "cloud-run-job"

    def __init__(
        self,
        jobs: run_v2.JobsClient,
        executions: run_v2.ExecutionsClient,
        job: str,
        *,
        timeout_s: float,
    ) -> None:
        self._jobs = jobs
        self._executions = executions
        self.job = job
        self._timeout_s = timeout_s
        self._again = retrying(timeout_s)

    def submit(self, run: Run, *, deadline_s: float) -> None:
        override = run_v2.RunJobRequest.Overrides.ContainerOverride
        try:
            job = self._jobs.get_job(name=self.job, timeout=self._timeout_s, retry=self._again)
            # Overriding replaces the job's arguments, so its own come first.
            container = job.template.template.containers[0]
            args = [*container.args, *_arguments(run, deadline_s)]
            overrides = run_v2.RunJobRequest.Overrides(
                container_overrides=[override(name=container.name, args=args)],
                timeout=Duration(seconds=int(deadline_s)),
            )
            # Never repeated: a lost answer would make a second execution.
            self._jobs.run_job(
                request=run_v2.RunJobRequest(name=self.job, overrides=overrides),
                timeout=self._timeout_s,
                retry=None,
            )
        except _FAILURES as error:
            raise _unavailable(error) from error

    def progress(self, run: Run) -> Progress | None:
        execution = self._find(run)
        if execution is None:
            return None
        if execution.completion_time is None:
            status = Status.STARTED if execution.start_time else Status.REQUESTED
            return Progress(status=status, started_at=_at(execution.start_time))
        succeeded = execution.succeeded_count > 0 and not execution.failed_count + execution.cancelled_count
        return Progress(
            status=Status.SUCCEEDED if succeeded else Status.FAILED,
            started_at=_at(execution.start_time),
            finished_at=_at(execution.completion_time),
            error=None if succeeded else _error(execution),
        )

    def cancel(self, run: Run) -> None:
        execution = self._find(run)
        if execution is None:
            return
        try:
            self._executions.cancel_execution(name=execution.name, timeout=self._timeout_s, retry=self._again)
        except _FAILURES as error:
            raise _unavailable(error) from error

    def _find(self, run: Run) -> run_v2.Execution | None:
        wanted = _run_id(run)
        try:
            found = self._executions.list_executions(
                parent=self.job, timeout=self._timeout_s, retry=self._again
            )
            return next((e for e in found if wanted in e.template.containers[0].args), None)
        except _FAILURES as error:
            raise _unavailable(error) from error


def _at(time: Any) -> datetime | None:
    """Of proto-plus, which has nanoseconds and no time for an unset field."""
    return None if time is None else datetime.fromtimestamp(time.timestamp(), UTC)


def _arguments(run: Run, deadline_s: float) -> list[str]:
    return [
        f"--as-of={format_timestamp(run.wanted.as_of)}",
        f"--known-at={format_timestamp(run.wanted.known_at)}",
        "--provisional",  # whether it may be is settled: the request was taken
        _run_id(run),
        # Cloud Run ends who waits for the job at Dataflow, not the job.
        f"--dataflow_service_options=max_workflow_runtime_walltime_seconds={int(deadline_s)}",
    ]


def _run_id(run: Run) -> str:
    return f"--run-id={run.attempt_id}"


def _error(execution: run_v2.Execution) -> str:
    messages = [c.message for c in execution.conditions if c.state == _FAILED and c.message]
    return (messages or ["cancelled" if execution.cancelled_count else "the execution failed"])[0][:500]


def _unavailable(error: Exception) -> CloudRunUnavailable:
    return CloudRunUnavailable(f"Cloud Run: {type(error).__name__}: {error!s:.300}")
