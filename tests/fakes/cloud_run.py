"""Cloud Run's jobs and executions behind Google's clients, over gRPC on a free port.

As in Cloud Run, arguments that override a job's replace them, a name is made for every execution, repeating a call
makes another execution, and of those that have ended only the last ones are kept
(https://cloud.google.com/run/quotas).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from google.cloud import run_v2
from google.cloud.run_v2.services.executions.transports import ExecutionsGrpcTransport
from google.cloud.run_v2.services.jobs.transports import JobsGrpcTransport
from google.longrunning import operations_pb2
from google.protobuf import any_pb2

from tests.fakes.grpc_server import grpc_server

PAGE = 2


@dataclass
class CloudRun:
    """Attributes:
    args: of the job itself.
    executions: the newest first.
    kept: so many that have ended.
    requests: of RunJob.
    fail_runs_with: status of RunJob's answer.
    lose_answers: RunJob makes the execution and is answered with that status all the same.
    """

    job: str
    jobs: Any = None
    executions_client: Any = None
    args: list[str] = field(default_factory=lambda: ["station_features", "--runner=DataflowRunner"])
    executions: list[run_v2.Execution] = field(default_factory=list)
    kept: int = 1000
    requests: list[run_v2.RunJobRequest] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    fail_runs_with: grpc.StatusCode | None = None
    lose_answers: bool = False

    def get_job(self, request: Any, context: Any) -> run_v2.Job:
        if request.name != self.job:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
        container = run_v2.Container(name="beam", image="i", args=self.args)
        return run_v2.Job(
            name=self.job,
            template=run_v2.ExecutionTemplate(template=run_v2.TaskTemplate(containers=[container])),
        )

    def run_job(self, request: Any, context: Any) -> operations_pb2.Operation:
        self.requests.append(request)
        if self.fail_runs_with and not self.lose_answers:
            context.abort(self.fail_runs_with, "refused")
        (override,) = request.overrides.container_overrides
        execution = run_v2.Execution(
            name=f"{self.job}/executions/e-{len(self.executions)}",
            create_time=datetime.now(UTC),
            template=run_v2.TaskTemplate(containers=[run_v2.Container(name="beam", args=override.args)]),
        )
        self.executions.insert(0, execution)  # the newest first
        if self.fail_runs_with:
            context.abort(self.fail_runs_with, "the answer is lost")
        metadata = any_pb2.Any()
        metadata.Pack(run_v2.Execution.pb(execution))
        return operations_pb2.Operation(name="operations/o", metadata=metadata)

    def list_executions(self, request: Any, context: Any) -> run_v2.ListExecutionsResponse:
        ended = [execution for execution in self.executions if execution.completion_time]
        for execution in ended[self.kept :]:
            self.executions.remove(execution)
        first = int(request.page_token or 0)
        more = first + PAGE < len(self.executions)
        return run_v2.ListExecutionsResponse(
            executions=self.executions[first : first + PAGE],
            next_page_token=str(first + PAGE) if more else "",
        )

    def cancel_execution(self, request: Any, context: Any) -> operations_pb2.Operation:
        self.cancelled.append(request.name)
        return operations_pb2.Operation(name="operations/o")


@contextmanager
def cloud_run(job: str) -> Iterator[CloudRun]:
    """Serves until the end of the block; `jobs` and `executions_client` are Google's clients of it."""
    fake = CloudRun(job)
    services = {
        "google.cloud.run.v2.Jobs": {
            "GetJob": (fake.get_job, run_v2.GetJobRequest),
            "RunJob": (fake.run_job, run_v2.RunJobRequest),
        },
        "google.cloud.run.v2.Executions": {
            "ListExecutions": (fake.list_executions, run_v2.ListExecutionsRequest),
            "CancelExecution": (fake.cancel_execution, run_v2.CancelExecutionRequest),
        },
    }
    with grpc_server(services) as address, grpc.insecure_channel(address) as channel:
        fake.jobs = run_v2.JobsClient(transport=JobsGrpcTransport(channel=channel))
        fake.executions_client = run_v2.ExecutionsClient(transport=ExecutionsGrpcTransport(channel=channel))
        yield fake
