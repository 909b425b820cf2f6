"""Which executor carries out which engine."""

import json
import sys
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from pmp_launcher.cloud.cloud_run_work import CloudRunWork
from pmp_launcher.cloud.executor import ClaimedExecutor
from pmp_launcher.cloud.sql_work import SqlWork
from pmp_launcher.config import EXECUTORS, Config
from pmp_launcher.executors import executors, lacking
from pmp_launcher.local.executor import LocalExecutor
from pmp_schema.features.runs import Engine

NO_REGION = {Engine.BEAM: "REGION is not set"}


@pytest.fixture(autouse=True)
def credentials(monkeypatch, tmp_path):
    """Of nobody, which are good enough for making a client."""
    user = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "t"}
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(user))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")


@pytest.fixture
def made():
    client = bigquery.Client("p", credentials=AnonymousCredentials())
    yield lambda config: executors(config, client, lambda run: None)
    client.close()


def config(executor, region="r"):
    return Config(project="p", region=region, executor=executor, state=Path("state"))


@pytest.mark.parametrize("executor", ["sql", "cloud-run-job"])
def test_in_the_cloud_sql_is_a_bigquery_job_and_beam_a_cloud_run_job(made, executor):
    found = made(config(executor))
    assert {engine: type(one) for engine, one in found.items()} == dict.fromkeys(Engine, ClaimedExecutor)
    assert {engine: type(one.work) for engine, one in found.items()} == {
        Engine.SQL: SqlWork,
        Engine.BEAM: CloudRunWork,
    }
    assert found[Engine.BEAM].work.job == "projects/p/locations/r/jobs/update-station-features-launcher"


def test_without_a_region_beam_is_not_offered(made):
    alone = config("sql", region=None)
    assert (set(made(alone)), lacking(alone)) == ({Engine.SQL}, NO_REGION)


def test_locally_both_engines_are_processes(made):
    found = made(config("local"))
    assert {engine: type(one) for engine, one in found.items()} == dict.fromkeys(Engine, LocalExecutor)


def test_without_the_pipelines_beam_is_not_offered_locally(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "pmp_beam", None)  # as where it is not installed
    assert set(made(config("local"))) == {Engine.SQL}
    assert lacking(config("local")) == {Engine.BEAM: "the package pmp_beam is not installed"}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_engine_without_a_name_in_the_request_has_an_executor(made, executor):
    there = config(executor)
    assert there.default_engine in made(there)
    assert set(made(there)) | set(lacking(there)) == set(Engine)
