"""What is refused before a job is submitted."""

import re
import sys
from pathlib import Path

import grpc
import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.dataflow_v1beta3 import JobsV1Beta3Client
from google.cloud.dataflow_v1beta3.services.jobs_v1_beta3.transports import JobsV1Beta3GrpcTransport

from pmp_beam import dataflow
from pmp_beam.__main__ import main
from pmp_beam.dataflow import IMAGE_PYTHON, check_submission, check_update, dataflow_options
from pmp_beam.settings import Settings
from pmp_runtime.config import ConfigError
from tests.fakes.google_cloud import PROJECT, REGION, google_cloud

DOCKERFILE = Path(__file__).parents[3] / "beam/Dockerfile"
ENV = {"PROJECT_ID": PROJECT, "REGION": REGION, "BUCKET": "gs://pmp-bucket", "BEAM_IMAGE": "image:1"}
SETTINGS = Settings.from_env(ENV)
OTHER_PYTHON = (3, 9)


@pytest.fixture
def jobs():
    """Dataflow's jobs of the project."""
    with google_cloud() as fake:
        yield fake


def look(jobs, *beam_args):
    options = dataflow_options(SETTINGS, beam_args, job_name="pmp-curate-status", streaming=True)
    with grpc.insecure_channel(jobs.address) as channel:
        transport = JobsV1Beta3GrpcTransport(channel=channel)
        check_update(options, lambda: JobsV1Beta3Client(transport=transport))


@pytest.mark.parametrize("state", ["RUNNING", "DRAINING"])
def test_a_job_that_works_is_replaced_however_many_others_there_are(jobs, state):
    for number in range(5):
        jobs.add_job("other", number=number)
    jobs.add_job("pmp-curate-status", state)
    look(jobs, "--update")


@pytest.mark.parametrize(
    ("name", "state"),
    [("other", "RUNNING"), ("pmp-curate-status", "PENDING"), ("pmp-curate-status", "DRAINED")],
)
def test_what_does_not_run_is_not_replaced(jobs, name, state):
    jobs.add_job(name, state)
    with pytest.raises(ConfigError) as refused:
        look(jobs, "--update")
    assert str(refused.value) == (
        "--update: no running or draining job pmp-curate-status; start it without --update"
    )


def test_who_may_not_look_is_told_so(jobs):
    jobs.failures["ListJobs"] = [grpc.StatusCode.PERMISSION_DENIED]
    with pytest.raises(ConfigError, match="--update: Dataflow does not tell its jobs: 403 ListJobs"):
        look(jobs, "--update")


def test_who_has_no_credentials_is_told_so():
    def client():
        raise DefaultCredentialsError("there are none")

    options = dataflow_options(SETTINGS, ["--update"], job_name="pmp-curate-status", streaming=True)
    with pytest.raises(ConfigError, match="--update: Dataflow does not tell its jobs: there are none"):
        check_update(options, client)


@pytest.mark.parametrize("beam_args", [[], ["--update", "--dry_run=True"]])
def test_nobody_looks_for_a_job_where_none_is_replaced(jobs, beam_args):
    look(jobs, *beam_args)


def test_the_python_of_the_workers_is_that_of_the_image():
    named = re.findall(r"python:?(\d+)\.(\d+)", DOCKERFILE.read_text("utf-8"))
    assert len(named) == 3
    assert {(int(major), int(minor)) for major, minor in named} == {IMAGE_PYTHON}


def test_a_graph_of_the_workers_python_may_be_submitted_and_one_of_any_may_be_looked_at():
    check_submission(SETTINGS, [], python=IMAGE_PYTHON)
    check_submission(SETTINGS, ["--dry_run=True"], python=OTHER_PYTHON)


def test_a_graph_of_another_python_is_refused():
    with pytest.raises(ConfigError, match=r"this is Python 3\.9, .*`uv run --isolated --python 3\.12 "):
        check_submission(SETTINGS, ["--max_num_workers=3"], python=OTHER_PYTHON)


def test_a_bucket_that_is_none_is_refused_before_beam_makes_one():
    with pytest.raises(ConfigError, match="BUCKET"):
        check_submission(Settings.from_env(ENV | {"BUCKET": "pmp-bucket"}), [], python=IMAGE_PYTHON)


@pytest.fixture
def dataflow_is_far(monkeypatch):
    """All that Dataflow needs is set, the workers' Python is not ours, and nothing can be told or asked."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:9")
    monkeypatch.setattr(dataflow, "IMAGE_PYTHON", OTHER_PYTHON)


@pytest.mark.usefixtures("dataflow_is_far")
@pytest.mark.parametrize("pipeline", ["curate_status", "ingest_events", "station_features"])
def test_every_pipeline_is_refused_before_it_begins(pipeline, capsys):
    assert main([pipeline, "--runner", "dataflow"]) == 2
    ours = ".".join(map(str, sys.version_info[:2]))
    assert capsys.readouterr().err.startswith(f"pmp_beam: this is Python {ours}, ")


@pytest.mark.usefixtures("dataflow_is_far")
def test_a_run_of_the_features_is_never_dry(capsys):
    arguments = ["--runner", "dataflow", "--dry_run=True"]
    assert main(["station_features", *arguments]) == 2
    assert capsys.readouterr().err == (
        "pmp_beam: --dry_run: a run of station_features changes BigQuery before there is a job\n"
    )
