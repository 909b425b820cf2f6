"""Scheduler, Run, Dataflow and Monitoring on one loopback port, for Google's own clients."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.cloud import dataflow_v1beta3, monitoring_v3, run_v2, scheduler_v1
from google.longrunning.operations_pb2 import Operation

from tests.fakes.grpc_server import grpc_server

PROJECT, REGION = "pmp-test", "europe-west1"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
NOON = datetime(2026, 1, 24, 12, tzinfo=UTC)
JobState = dataflow_v1beta3.JobState


@dataclass
class GoogleCloud:
    """A project. What is in it is messages of the real APIs; `advance` lets what was begun come to its end.

    Attributes:
        address: host and port.
        changes: (method, its resource) of every call that changed something, in order.
        failures: status by method, of the next calls.
        launch_outcome: what becomes of a launcher's execution.
    """

    address: str = ""
    schedules: dict[str, Any] = field(default_factory=dict)
    services: list[Any] = field(default_factory=list)
    launchers: dict[str, Any] = field(default_factory=dict)
    jobs: dict[str, Any] = field(default_factory=dict)
    series: list[Any] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)
    failures: dict[str, list[grpc.StatusCode]] = field(default_factory=dict)
    launch_outcome: str = "EXECUTION_SUCCEEDED"
    launch_args: list[str] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)

    def add_schedule(self, name: str, state: str = "PAUSED", body: bytes = b"{}", code: int = 0) -> None:
        job = scheduler_v1.Job(
            name=f"{PARENT}/jobs/{name}",
            schedule="*/1 * * * *",
            state=state,
            http_target={"uri": "https://x", "body": body},
            last_attempt_time=NOON,
            status={"code": code},
        )
        self.schedules[job.name] = job

    def add_service(self, name: str, *, ready: bool = True, minimum: int = 0) -> None:
        condition = {"state": "CONDITION_SUCCEEDED" if ready else "CONDITION_FAILED"}
        if not ready:
            condition["message"] = "the image is not there"
        limits = {"cpu": "1", "memory": "512Mi"}
        self.services.append(
            run_v2.Service(
                name=f"{PARENT}/services/{name}",
                uri=f"https://{name}.run.app",
                latest_ready_revision=f"{PARENT}/services/{name}/revisions/{name}-00001",
                terminal_condition=condition,
                template={
                    "scaling": {"min_instance_count": minimum},
                    "containers": [{"image": "x", "resources": {"limits": limits}}],
                },
            )
        )

    def add_launcher(self, name: str, *args: str) -> None:
        full = f"{PARENT}/jobs/{name}"
        self.launchers[full] = run_v2.Job(
            name=full, template={"template": {"containers": [{"image": "x", "args": args}]}}
        )

    def add_job(self, name: str, state: str = "RUNNING", *, batch: bool = False, number: int = 1) -> str:
        job_id = f"2026-01-24_{name}-{number}"
        self.jobs[job_id] = dataflow_v1beta3.Job(
            id=job_id,
            name=name,
            project_id=PROJECT,
            location=REGION,
            type_="JOB_TYPE_BATCH" if batch else "JOB_TYPE_STREAMING",
            current_state=f"JOB_STATE_{state}",
            current_state_time=NOON,
            create_time=NOON - timedelta(hours=number),
        )
        return job_id

    def add_series(self, metric: str, labels: dict[str, str], *values: float) -> None:
        points = [{"value": {"int64_value" if v == int(v) else "double_value": v}} for v in values]
        self.series.append(
            monitoring_v3.TimeSeries(
                metric={"type": metric}, resource={"type": "x", "labels": labels}, points=points
            )
        )

    def advance(self, _: float = 0) -> None:
        """The next state of everything that is under way."""
        following = {
            JobState.JOB_STATE_PENDING: "JOB_STATE_RUNNING",
            JobState.JOB_STATE_DRAINING: "JOB_STATE_DRAINED",
            JobState.JOB_STATE_CANCELLING: "JOB_STATE_CANCELLED",
        }
        for job in self.jobs.values():
            job.current_state = following.get(job.current_state, job.current_state)
        for launcher in self.launchers.values():
            latest = launcher.latest_created_execution
            if latest.completion_status.name == "EXECUTION_RUNNING":
                latest.completion_status = self.launch_outcome
                if self.launch_outcome == "EXECUTION_SUCCEEDED":
                    self.add_job(launcher.name.rsplit("/", 1)[-1].removesuffix("-launcher"), "PENDING")

    def list_schedules(self, request: Any) -> Any:
        return _page(request, scheduler_v1.ListJobsResponse, "jobs", self.schedules.values())

    def pause_job(self, request: Any) -> Any:
        return self._schedule("PauseJob", request.name, "ENABLED", "PAUSED")

    def resume_job(self, request: Any) -> Any:
        return self._schedule("ResumeJob", request.name, "PAUSED", "ENABLED")

    def _schedule(self, method: str, name: str, before: str, after: str) -> Any:
        schedule = self.schedules[name]
        if schedule.state.name != before:
            raise Refused(f"{name} is {schedule.state.name}")
        self.changes.append((method, name.rsplit("/", 1)[-1]))
        schedule.state = after
        return schedule

    def list_services(self, request: Any) -> Any:
        return _page(request, run_v2.ListServicesResponse, "services", self.services)

    def list_launchers(self, request: Any) -> Any:
        return _page(request, run_v2.ListJobsResponse, "jobs", self.launchers.values())

    def run_job(self, request: Any) -> Any:
        short = request.name.rsplit("/", 1)[-1]
        self.changes.append(("RunJob", short))
        for override in request.overrides.container_overrides:
            self.launch_args = list(override.args)
        number = sum(method == "RunJob" for method, _ in self.changes)
        self.launchers[request.name].latest_created_execution = run_v2.ExecutionReference(
            name=f"{short}-{number}", completion_status="EXECUTION_RUNNING"
        )
        return Operation(name=f"{PARENT}/operations/o-{number}")

    def cancel_execution(self, request: Any) -> Any:
        self.changes.append(("CancelExecution", request.name.rsplit("/", 1)[-1]))
        launcher = self.launchers[request.name.partition("/executions/")[0]]
        launcher.latest_created_execution.completion_status = "EXECUTION_CANCELLED"
        return Operation(name=f"{PARENT}/operations/cancel")

    def list_dataflow_jobs(self, request: Any) -> Any:
        active = request.filter.name == "ACTIVE"
        ended = {JobState.JOB_STATE_DRAINED, JobState.JOB_STATE_CANCELLED, JobState.JOB_STATE_FAILED}
        jobs = [job for job in self.jobs.values() if not (active and job.current_state in ended)]
        if (request.project_id, request.location) != (PROJECT, REGION):
            raise Refused(f"{request.project_id} {request.location}")
        return _page(request, dataflow_v1beta3.ListJobsResponse, "jobs", jobs)

    def get_dataflow_job(self, request: Any) -> Any:
        return self.jobs[request.job_id]

    def update_dataflow_job(self, request: Any) -> Any:
        wanted, job = request.job.requested_state, self.jobs[request.job_id]
        drains = job.type_.name == "JOB_TYPE_STREAMING" and job.current_state == JobState.JOB_STATE_RUNNING
        if wanted == JobState.JOB_STATE_DRAINED and not drains:
            raise Refused(f"{request.job_id} is {job.current_state.name}: it cannot be drained")
        self.changes.append((wanted.name, request.job_id))
        under_way = {
            JobState.JOB_STATE_DRAINED: "JOB_STATE_DRAINING",
            JobState.JOB_STATE_CANCELLED: "JOB_STATE_CANCELLING",
        }
        self.jobs[request.job_id].current_state = under_way[wanted]
        return self.jobs[request.job_id]

    def list_series(self, request: Any) -> Any:
        if request.name != f"projects/{PROJECT}" or request.interval.start_time >= request.interval.end_time:
            raise Refused(f"{request.name} {request.interval}")
        aggregation = request.aggregation
        if aggregation.per_series_aligner and aggregation.alignment_period < timedelta(minutes=1):
            raise Refused("alignment_period: a minute at least")
        found = [s for s in self.series if f'"{s.metric.type}"' in request.filter]
        return _page(request, monitoring_v3.ListTimeSeriesResponse, "time_series", found)


class Refused(Exception):
    """The real API answers this request with FAILED_PRECONDITION or INVALID_ARGUMENT."""


def _page(request: Any, answer: Any, field_name: str, items: Iterable[Any]) -> Any:
    """Two items at a time, so that whoever reads only the first page is found out."""
    if getattr(request, "parent", PARENT) != PARENT:
        raise Refused(request.parent)
    begin = int(request.page_token or 0)
    held = list(items)
    following = str(begin + 2) if len(held) > begin + 2 else ""
    return answer(**{field_name: held[begin : begin + 2], "next_page_token": following})


@contextmanager
def google_cloud() -> Iterator[GoogleCloud]:
    """An empty project on a free port of 127.0.0.1, until the end of the block."""
    fake = GoogleCloud()
    services = {
        service: {name: (_answering(fake, name, call), request) for name, (call, request) in calls.items()}
        for service, calls in _services(fake).items()
    }
    with grpc_server(services) as fake.address:
        yield fake


def _services(fake: GoogleCloud) -> dict[str, dict[str, tuple[Callable[[Any], Any], Any]]]:
    s, r, d = scheduler_v1, run_v2, dataflow_v1beta3
    return {
        "google.cloud.scheduler.v1.CloudScheduler": {
            "ListJobs": (fake.list_schedules, s.ListJobsRequest),
            "PauseJob": (fake.pause_job, s.PauseJobRequest),
            "ResumeJob": (fake.resume_job, s.ResumeJobRequest),
        },
        "google.cloud.run.v2.Services": {"ListServices": (fake.list_services, r.ListServicesRequest)},
        "google.cloud.run.v2.Jobs": {
            "ListJobs": (fake.list_launchers, r.ListJobsRequest),
            "RunJob": (fake.run_job, r.RunJobRequest),
        },
        "google.cloud.run.v2.Executions": {
            "CancelExecution": (fake.cancel_execution, r.CancelExecutionRequest)
        },
        "google.dataflow.v1beta3.JobsV1Beta3": {
            "ListJobs": (fake.list_dataflow_jobs, d.ListJobsRequest),
            "GetJob": (fake.get_dataflow_job, d.GetJobRequest),
            "UpdateJob": (fake.update_dataflow_job, d.UpdateJobRequest),
        },
        "google.monitoring.v3.MetricService": {
            "ListTimeSeries": (fake.list_series, monitoring_v3.ListTimeSeriesRequest)
        },
    }


def _answering(fake: GoogleCloud, name: str, answer: Callable[[Any], Any]) -> Any:
    def call(message: Any, context: grpc.ServicerContext) -> Any:
        if fake.failures.get(name):
            context.abort(fake.failures[name].pop(0), f"{name} was told to fail\nsecond line")
        try:
            return answer(message)
        except Refused as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    return call
