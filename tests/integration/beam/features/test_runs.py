"""Runs as processes of their own against the emulators, from raw_events to station_features."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from pmp_beam.station_features.run_bigquery import RunBigQuery
from pmp_schema.features import FeatureTables, close_days
from pmp_schema.tables import table
from tests.fakes.feature_oracle import expected_rows, scenario
from tests.fakes.feature_run import by_key, raw_rows
from tests.fakes.pipeline_process import PipelineProcess
from tests.fakes.server_process import server
from tests.fakes.waiting import eventually

pytestmark = pytest.mark.integration

GIVEN = scenario(1010)
MINUTES = count()


@pytest.fixture(scope="module")
def warehouse(project):
    """A project with the scenario's events, and their days closed as the scenario has it."""
    rows = [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in raw_rows(GIVEN.events)
    ]
    for first in range(0, len(rows), 200):
        errors = project.bigquery.insert_rows_json(
            f"{project.name}.{table('raw_events').id}", rows[first : first + 200], timeout=20
        )
        assert errors == []
    warehouse = RunBigQuery(project.bigquery, call_s=30, statement_s=30)
    for through in GIVEN.closings:
        close_days(warehouse, FeatureTables.of(project.name), through=through)
    return warehouse


class Features:
    """The runs of a test: each has an as_of of its own."""

    def __init__(self, project, folder, as_of):
        self.project = project
        self.folder = folder
        self.as_of = as_of

    def process(self, run_id, *more, **env):
        times = ["--as-of", self.as_of.isoformat(), "--known-at", GIVEN.known_at.isoformat()]
        return PipelineProcess(
            ["station_features", *times, "--provisional", "--run-id", run_id, *more],
            self.project.env | env,
            self.folder / f"{run_id}.log",
        )

    def run(self, run_id, *more, **env):
        """The exit code of a run to its end."""
        process = self.process(run_id, *more, **env)
        process.start()
        return process.process.wait(100)

    def stored(self):
        name = f"{self.project.name}.{table('station_features').id}"
        rows = self.project.bigquery.query_and_wait(
            f"SELECT * FROM `{name}`", wait_timeout=20, api_timeout=20
        )
        return by_key([dict(row) for row in rows if row["as_of"] == self.as_of])

    def expected(self):
        return pytest.approx(expected_rows(GIVEN.events, self.as_of, GIVEN.known_at), rel=1e-9, abs=0)

    def told(self, run_id):
        """Type and data of the run's events, by their id."""
        events = [json.loads(message.data) for message in self.project.pulled("ops-events")]
        return [(event["type"], event["data"]) for event in events if event.get("subject") == run_id]

    def staging(self):
        tables = self.project.bigquery.list_tables(f"{self.project.name}.pmp_features", timeout=20)
        return [one.table_id for one in tables if one.table_id.startswith("station_features_staging")]


@pytest.fixture
def features(warehouse, project, tmp_path):
    return Features(project, tmp_path, GIVEN.as_of - timedelta(minutes=next(MINUTES)))


def test_a_run_becomes_the_rows_of_its_as_of_and_reports_itself(features):
    assert features.run("run-a") == 0
    stored = features.stored()
    assert stored
    assert stored == features.expected()
    (started, before), (succeeded, after) = features.told("run-a")
    assert (started, succeeded) == ("feature_run.started", "feature_run.succeeded")
    assert before["engine"] == "beam"
    assert after == before | {"rows": len(stored)}
    assert features.staging() == []


def test_a_run_that_fails_says_so_and_changes_nothing(features):
    moved = f"{features.project.name}.pmp_features.nowhere"
    assert features.run("run-lost", FEATURES_TABLE=moved) == 1
    (_, _), (failed, data) = features.told("run-lost")
    assert failed == "feature_run.failed"
    assert "nowhere" in data["error"]
    assert features.stored() == {}


@pytest.mark.timeout(300)
def test_a_run_killed_at_any_moment_and_started_again_ends_complete(features):
    left = set()

    def staged():
        return set(features.staging()) - left

    for reached in (lambda: features.told("run-killed"), staged, features.stored):
        left |= staged()
        process = features.process("run-killed")
        process.start()
        eventually(reached, 100)
        process.kill()
        assert features.stored() in ({}, features.expected())
    assert features.run("run-killed") == 0
    assert features.stored() == features.expected()


@pytest.mark.timeout(200)
def test_two_runs_at_once_leave_one_complete_set(features):
    processes = [features.process(run_id) for run_id in ("run-one", "run-two")]
    for process in processes:
        process.start()
    assert [process.process.wait(150) for process in processes] == [0, 0]
    assert features.stored() == features.expected()


def test_a_run_that_sees_nothing_does_not_delete_a_complete_set(features):
    assert features.run("run-full") == 0
    complete = features.stored()
    assert complete
    before_all = min(event.ingest_ts for event in GIVEN.events) - timedelta(days=1)
    assert features.run("run-blind", "--known-at", before_all.isoformat()) == 1
    assert features.stored() == complete
    assert "EmptyRunError" in features.told("run-blind")[-1][1]["error"]


def test_a_provisional_run_of_the_launcher_is_carried_out(features, tmp_path):
    known_at = datetime.now(UTC) + timedelta(minutes=5)
    wanted = {"as_of": features.as_of.isoformat(), "known_at": known_at.isoformat(), "provisional": True}
    env = features.project.env | {"LAUNCHER_EXECUTOR": "local", "LAUNCHER_STATE_DIR": str(tmp_path / "state")}
    with server("pmp_launcher.wsgi:app", env, tmp_path) as launcher:
        launcher.wait()
        body = json.dumps(wanted | {"engine": "beam"}).encode()
        assert launcher.request("POST", "/runs", body).status == 202
        (end,) = eventually(lambda: [*tmp_path.glob("state/features-beam-*/1/end")], 100)
    assert json.loads(end.read_bytes())["error"] is None
    assert features.stored()
