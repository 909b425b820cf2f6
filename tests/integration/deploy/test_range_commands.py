"""Backfill and export through their commands: on the BigQuery emulator, with the SQL engine itself."""

import csv
import json
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from pmp_launcher.sql_engine import script
from pmp_runtime.bigquery.queries import query_client
from pmp_runtime.bigquery.statements import BigQueryStatements
from pmp_schema.features import FeatureTables, catalogue
from pmp_schema.tables import table
from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import TOPOLOGY
from pmpctl.features import range_commands
from pmpctl.project.tables import prepare_tables
from pmpctl.session import Connections
from tests.fakes.bigquery_emulator import bigquery_emulator
from tests.fakes.feature_oracle import expected_rows, scenario
from tests.fakes.feature_run import raw_rows
from tests.fakes.json_server import json_server

pytestmark = pytest.mark.integration

GIVEN = scenario(1001)
AS_OF, KNOWN_AT = GIVEN.as_of, GIVEN.known_at
DAY = timedelta(days=1)
LATER = max(event.ingest_ts for event in GIVEN.events) + DAY


class Project:
    def __init__(self, running):
        self.client = query_client(running.project, running.rest)
        self.tables = FeatureTables.of(running.project)
        prepare_tables(self.client, TOPOLOGY, location="EU", emulated=True)

    def insert(self, name, rows):
        plain = [{key: _json(value) for key, value in row.items()} for row in rows]
        for first in range(0, len(plain), 200):
            chunk = plain[first : first + 200]
            full = f"{self.client.project}.{table(name).id}"
            assert self.client.insert_rows_json(full, chunk, timeout=20) == []

    def compute(self, known_at, run_id):
        """One run of the SQL engine, reported as by the launcher."""
        warehouse = BigQueryStatements(self.client, call_s=20, statement_s=60)
        warehouse.query(
            script(
                warehouse, self.tables, as_of=AS_OF, known_at=known_at, attempt_id=f"{run_id}-1", now=known_at
            )
        )
        self.tell(run_id, AS_OF, known_at)

    def tell(self, run_id, as_of, known_at, status="succeeded"):
        data = {
            "as_of": format_timestamp(as_of),
            "known_at": format_timestamp(known_at),
            "engine": "sql",
            "executor": "local",
        }
        event = {
            "event_id": f"{run_id}-{status}",
            "type": f"feature_run.{status}",
            "subject": run_id,
            "time": known_at,
            "data": json.dumps(data),
            "publish_ts": known_at,
        }
        self.insert("events", [event])


def _json(value):
    return value.isoformat() if hasattr(value, "isoformat") else value


@pytest.fixture(scope="module")
def project():
    with bigquery_emulator() as running:
        project = Project(running)
        project.insert("raw_events", raw_rows(GIVEN.events))
        yield project


@pytest.fixture
def pmpctl(project, monkeypatch):
    for name in ("PUBSUB_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    app = typer.Typer()
    range_commands.register(app)
    connections = Connections(bigquery=lambda *_: project.client, pause=lambda _: None)

    def run(*arguments):
        done = CliRunner().invoke(app, arguments, obj=connections)
        return done.exit_code, done.stdout, done.exception

    return run


def expected_set(known_at):
    """{(city_id, station_id): {column: value}}, from the definitions alone."""
    columns = {(feature.name, feature.window): feature.column for feature in catalogue()}
    wide = {}
    for (city, station, *feature), value in expected_rows(GIVEN.events, AS_OF, known_at).items():
        wide.setdefault((city, station), {})[columns[tuple(feature)]] = value
    return wide


def exported(path):
    rows = pq.read_table(path).to_pylist()
    times = {(row.pop("as_of"), row.pop("known_at")) for row in rows}
    found = {(row.pop("city_id"), row.pop("station_id")): row for row in rows}
    assert len(found) == len(rows)
    return times, {key: {n: v for n, v in row.items() if v is not None} for key, row in found.items()}


def approx(wide):
    return {key: pytest.approx(row, rel=1e-9, abs=0) for key, row in wide.items()}


def test_a_training_set_holds_nothing_that_became_known_later(project, pmpctl, tmp_path):
    path = tmp_path / "set.parquet"
    options = ("export", "--as-of", format_timestamp(AS_OF), "--output", str(path))
    bound = ("--known-at", format_timestamp(KNOWN_AT))
    strict, all_known = expected_set(KNOWN_AT), expected_set(LATER)
    assert strict != all_known, "the scenario has late events"

    project.compute(KNOWN_AT, "features-sql-strict")
    assert pmpctl(*options, *bound)[::2] == (0, None)
    assert exported(path) == ({(AS_OF, KNOWN_AT)}, approx(strict))

    project.compute(LATER, "features-sql-late")
    before = path.read_bytes()
    code, _, refusal = pmpctl(*options, *bound)
    assert (code, str(refusal)) == (
        1,
        (
            "rows may know more than --known-at or --known-at-delay allow: "
            f"{format_timestamp(AS_OF)} (known at {format_timestamp(LATER)})"
        ),
    )
    assert path.read_bytes() == before

    assert pmpctl(*options)[::2] == (0, None)
    assert exported(path) == ({(AS_OF, LATER)}, approx(all_known))

    code, out, _ = pmpctl(*options[:-1], str(tmp_path), "--format", "csv", "--json")
    told = json.loads(out)
    assert (code, told["rows"], told["times"]) == (0, len(all_known), 1)
    with (tmp_path / "station_features.csv").open(newline="") as file:
        stations = [(row["city_id"], row["station_id"]) for row in csv.DictReader(file)]
    assert stations == sorted(all_known)


def test_a_backfill_asks_for_what_is_not_there_and_tells_what_failed(project, pmpctl, monkeypatch):
    times = [AS_OF - n * DAY for n in (402, 401, 400)]
    ids = [f"features-sql-{n}" for n in range(3)]
    project.tell(ids[0], times[0], times[0] + timedelta(minutes=4))
    options = (
        "backfill",
        "--from",
        format_timestamp(times[0]),
        "--to",
        format_timestamp(times[2]),
        "--every",
        "1d",
    )
    options = (*options, "--known-at-delay", "5m", "--engine", "sql")

    def run(n, status, **more):
        known_at = format_timestamp(times[n] + timedelta(minutes=5))
        return {"run_id": ids[n], "status": status, "known_at": known_at, **more}

    with json_server() as launcher:
        monkeypatch.setenv("LAUNCHER_URL", launcher.url)
        failed = run(2, "failed", error="killed")
        launcher.answers = {
            "POST /runs": [(202, run(1, "started")), *[(202, run(2, "started"))] * 3],
            f"GET /runs/{ids[1]}": [(200, run(1, "started")), (200, run(1, "succeeded"))],
            f"GET /runs/{ids[2]}": [(200, failed)],
        }
        code, out, _ = pmpctl(*options, "--json")
        report = {
            "times": 3,
            "there": 1,
            "filled": 1,
            "failed": [{"as_of": format_timestamp(times[2]), "run_id": ids[2], "error": "killed"}],
            "later": [],
        }
        assert (code, json.loads(out)) == (1, report)
        asked = [json.loads(seen.body) for seen in launcher.seen if seen.method == "POST"]
        assert [one["as_of"] for one in asked] == [format_timestamp(times[n]) for n in (1, 2, 2, 2)]
        assert {one["known_at"] for one in asked[:1]} == {format_timestamp(times[1] + timedelta(minutes=5))}

        project.tell(ids[1], times[1], times[1] + timedelta(minutes=5))
        launcher.seen.clear()
        launcher.answers["POST /runs"] = [(202, run(2, "succeeded"))]
        assert pmpctl(*options)[:2] == (0, "3 times: 1 computed, 2 already present\n")
        assert [seen.method for seen in launcher.seen] == ["POST"]

        project.tell(ids[2], times[2], times[2] + timedelta(minutes=5))
        launcher.seen.clear()
        assert pmpctl(*options)[:2] == (0, "3 times: 0 computed, 3 already present\n")
        code, out, _ = pmpctl(*options[:-4], "--known-at-delay", "4m", "--json")
        assert (code, [one["as_of"] for one in json.loads(out)["later"]]) == (
            1,
            [format_timestamp(t) for t in times[1:]],
        )
        assert launcher.seen == []


def test_ctrl_c_ends_the_backfill_and_the_runs_go_on(project, pmpctl, monkeypatch):
    at = format_timestamp(AS_OF - 300 * DAY)

    def stop(_):
        raise KeyboardInterrupt

    app = typer.Typer()
    range_commands.register(app)
    with json_server() as launcher:
        monkeypatch.setenv("LAUNCHER_URL", launcher.url)
        launcher.answers = {"POST /runs": [(202, {"run_id": "r", "status": "started"})]}
        done = CliRunner().invoke(
            app,
            ("backfill", "--from", at, "--to", at, "--every", "30m"),
            obj=Connections(bigquery=lambda *_: project.client, pause=stop),
        )
        assert done.exit_code == 130
        assert done.stdout == "1 time: 0 computed, 0 already present, 1 not started or still running\n"
        assert [(seen.method, seen.path) for seen in launcher.seen] == [("POST", "/runs")]


def test_a_dry_run_only_tells_the_requests(pmpctl, monkeypatch):
    monkeypatch.setenv("LAUNCHER_URL", "http://127.0.0.1:9")
    at = format_timestamp(AS_OF - 200 * DAY)
    assert pmpctl("backfill", "--from", at, "--to", at, "--every", "30m", "--dry-run")[:2] == (
        0,
        f'POST http://127.0.0.1:9/runs {{"as_of":"{at}"}}\n',
    )
