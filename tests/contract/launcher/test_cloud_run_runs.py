"""Runs as executions of a Cloud Run job: Google's clients over gRPC."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.cloud import run_v2

from pmp_launcher.cloud.executor import NO_TRACE, ClaimedExecutor, Progress
from pmp_schema.errors import RetryableError
from pmp_schema.features.runs import Status

RUN = "features-beam-20251116t021500z"
AT = datetime(2025, 11, 16, 2, 16, tzinfo=UTC)


@pytest.fixture
def runs(instance, cloud_run_work):
    return instance(cloud_run_work, timeout_s=20)


def end(execution, **counts):
    execution.start_time, execution.completion_time = AT, AT + timedelta(minutes=7)
    for name, count in counts.items():
        setattr(execution, f"{name}_count", count)


def test_of_fifty_at_once_one_runs_the_job(runs: ClaimedExecutor, run_service, beam):
    with ThreadPoolExecutor(50) as pool:
        launches = list(pool.map(lambda _: runs.start(beam), range(50)))
    assert [launch.is_new for launch in launches].count(True) == 1
    assert len(run_service.executions) == 1


def test_the_job_gets_its_own_arguments_those_of_the_run_and_the_deadline(runs, run_service, beam):
    runs.start(beam)
    (request,) = run_service.requests
    (container,) = request.overrides.container_overrides
    assert container.name == "beam"
    assert list(container.args) == [
        "station_features",
        "--runner=DataflowRunner",
        "--as-of=2025-11-16T02:15:00Z",
        "--known-at=2025-11-16T02:14:00.999999Z",
        "--provisional",
        f"--run-id={RUN}-1",
        "--dataflow_service_options=max_workflow_runtime_walltime_seconds=1200",
    ]
    assert request.overrides.timeout == timedelta(seconds=1200)


def test_status_and_times_are_the_execution_s(runs, run_service, beam):
    runs.start(beam)
    assert runs.find(RUN).status is Status.REQUESTED
    (execution,) = run_service.executions
    execution.start_time = AT
    run = runs.find(RUN)
    assert (run.status, run.started_at, run.executor) == (Status.STARTED, AT, "cloud-run-job")
    end(execution, succeeded=1)
    run = runs.find(RUN)
    assert (run.status, run.finished_at, run.error) == (Status.SUCCEEDED, AT + timedelta(minutes=7), None)
    assert not runs.start(beam).is_new


def test_a_failed_execution_says_why_and_is_followed_by_another(runs, run_service, beam):
    runs.start(beam)
    (execution,) = run_service.executions
    end(execution, failed=1)
    execution.conditions = [
        run_v2.Condition(type_="Completed", state="CONDITION_FAILED", message="exit code 1")
    ]
    assert (runs.find(RUN).status, runs.find(RUN).error) == (Status.FAILED, "exit code 1")
    assert runs.start(beam).run.attempt == 2
    assert f"--run-id={RUN}-2" in run_service.executions[0].template.containers[0].args
    assert runs.find(RUN).attempt == 2


def test_a_cancelled_execution_has_failed(runs, run_service, beam):
    runs.start(beam)
    end(run_service.executions[0], cancelled=1)
    assert (runs.find(RUN).status, runs.find(RUN).error) == (Status.FAILED, "cancelled")


def test_an_execution_is_found_behind_many_others(runs, run_service, beam):
    runs.start(beam)
    container = run_v2.Container(args=["station_features", f"--run-id={RUN}-11"])
    other = run_v2.Execution(template=run_v2.TaskTemplate(containers=[container]))
    run_service.executions[:0] = [other] * 7
    end(run_service.executions[-1], succeeded=1)
    assert runs.find(RUN).status is Status.SUCCEEDED


@pytest.fixture
def forgotten(runs, run_service, beam):
    """A run that has succeeded, and whose execution Cloud Run no longer keeps."""
    runs.start(beam)
    end(run_service.executions[0], succeeded=1)
    assert runs.find(RUN).status is Status.SUCCEEDED
    run_service.kept = 0


@pytest.mark.usefixtures("forgotten")
def test_a_run_whose_execution_is_no_longer_kept_has_ended_as_was_told(runs, run_service, beam, told, clock):
    told[f"{RUN}-1"] = Progress(status=Status.SUCCEEDED, finished_at=AT, rows=7)
    clock.forward(days=18)
    run = runs.find(RUN)
    assert (run.status, run.finished_at, run.rows, run.error) == (Status.SUCCEEDED, AT, 7, None)
    assert not runs.start(beam).is_new
    assert len(run_service.requests) == 1


@pytest.mark.usefixtures("forgotten")
def test_a_run_that_neither_cloud_run_nor_an_event_tells_of_is_attempted_again(runs, beam, clock):
    clock.forward(days=18)
    assert (runs.find(RUN).status, runs.find(RUN).error) == (Status.FAILED, NO_TRACE)
    assert runs.start(beam).run.attempt == 2


@pytest.mark.usefixtures("forgotten")
def test_a_forgotten_run_is_not_attempted_again_while_its_end_cannot_be_read(
    runs, run_service, beam, told, clock
):
    told[f"{RUN}-1"] = RetryableError("away")
    clock.forward(days=18)
    for call in (lambda: runs.find(RUN), lambda: runs.start(beam)):
        with pytest.raises(RetryableError, match="away"):
            call()
    assert len(run_service.requests) == 1


@pytest.mark.parametrize("status", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE])
def test_a_refusal_fails_the_attempt_at_once_and_the_next_call_attempts_again(
    runs, run_service, beam, status
):
    run_service.fail_runs_with = status
    launch = runs.start(beam)
    assert (launch.is_new, launch.run.status) == (True, Status.FAILED)
    run_service.fail_runs_with = None
    launch = runs.start(beam)
    assert (launch.run.attempt, launch.run.status) == (2, Status.STARTED)
    assert len(run_service.executions) == 1


def test_an_execution_whose_answer_was_lost_is_the_run(runs, run_service, beam):
    run_service.fail_runs_with, run_service.lose_answers = grpc.StatusCode.UNAVAILABLE, True
    assert runs.start(beam).run.status is Status.FAILED
    launch = runs.start(beam)
    assert (launch.is_new, launch.run.attempt, launch.run.status) == (False, 1, Status.REQUESTED)
    assert len(run_service.executions) == 1


def test_an_execution_whose_answer_was_lost_and_that_is_no_longer_kept_has_ended_as_was_told(
    runs, run_service, beam, told
):
    run_service.fail_runs_with, run_service.lose_answers = grpc.StatusCode.UNAVAILABLE, True
    runs.start(beam)
    end(run_service.executions[0], succeeded=1)
    run_service.kept = 0
    told[f"{RUN}-1"] = Progress(status=Status.SUCCEEDED, finished_at=AT, rows=7)
    assert not runs.start(beam).is_new


def test_a_run_beyond_its_deadline_is_cancelled(runs, run_service, beam, clock):
    runs.start(beam)
    (execution,) = run_service.executions
    execution.start_time = AT
    clock.forward(seconds=1201)
    assert runs.find(RUN).status is Status.FAILED
    assert run_service.cancelled == [execution.name]
