"""`pmpctl status`, `cost` and `features status` over the emulator's tables."""

import json
from datetime import UTC, datetime

import pytest

from pmp_runtime.bigquery.queries import Queries
from pmp_schema.topology import TOPOLOGY
from pmpctl import cli
from pmpctl.cost import usage
from pmpctl.pipeline.status import table_sections
from pmpctl.project.tables import prepare_tables
from pmpctl.session import Connections
from tests.integration.deploy.test_resources import query

pytestmark = pytest.mark.integration


@pytest.fixture
def used(clients):
    """A project with two hours of counted messages; one event is there twice."""
    prepare_tables(clients.bigquery, TOPOLOGY, location="EU", emulated=True)
    counted, polled = "publisher.counted", "feed.polled"
    snapshot = {"feed": "station_status", "outcome": "published", "bytes": 800_000}
    for event_id, kind, subject, data, copies in (
        ("c-1", counted, "pmp-events", {"messages": 60}, 2),
        ("c-2", counted, "pmp-events", {"messages": 60}, 1),
        ("c-3", counted, "pmp-sensor-events", {"messages": 1000}, 1),
        ("p-1", polled, "velib", snapshot, 2),
        ("p-2", polled, "velib", {**snapshot, "outcome": "unchanged"}, 1),
        ("f-1", "feature_run.requested", "run-1", {"engine": "sql", "as_of": "2026-01-24T12:00:00Z"}, 1),
    ):
        for _ in range(copies):
            query(
                clients,
                f"INSERT INTO `{clients.bigquery.project}.pmp_ops.events` "
                "(event_id, type, subject, time, data, publish_ts) VALUES "
                f"('{event_id}', '{kind}', '{subject}', CURRENT_TIMESTAMP(), JSON '{json.dumps(data)}', "
                "CURRENT_TIMESTAMP())",
            )
    return clients


@pytest.fixture
def pmpctl(used, emulators, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PROJECT_ID", used.bigquery.project)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", emulators.bigquery)
    monkeypatch.setenv("PMP_STATE_DIR", str(tmp_path))

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["pmpctl", *arguments, "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main(Connections(pause=lambda _: None))
        return ended.value.code, json.loads(capsys.readouterr().out)

    return run


def test_usage_counts_every_event_once(pmpctl):
    code, told = pmpctl("cost", "--days", "1")
    components = {c["component"]: c for c in told["components"]}
    assert code == 0
    assert told["messages"] == {"pmp-events": 120, "pmp-sensor-events": 1000}
    assert components["Cloud Run"]["measured"].startswith("34,128 requests")  # 1,120 pushes and 2 polls a day
    assert components["BigQuery writes"]["measured"] == "0.05 GiB appended"  # 800 kB and 1,000 small ones
    assert components["BigQuery storage"]["list_usd"] >= 0


def test_tables_are_measured_where_the_emulator_tells_no_size(used):
    assert usage._measured_bytes(Queries(used.bigquery, "pmpctl.cost", timeout_s=30)) > 8 * 100


def test_a_table_without_rows_has_no_newest_one(used):
    queries = Queries(used.bigquery, "pmpctl.pipeline", timeout_s=30)
    tables, health = table_sections(lambda: queries, datetime.now(UTC))
    ages = {row["table"]: row["age_s"] for row in tables.rows}
    assert set(ages) == {
        t for d in TOPOLOGY.datasets.values() for t in d.tables if t != "station_daily_counts"
    }
    assert ages.pop("events") is not None
    assert set(ages.values()) == {None}
    assert [row["name"] for row in health.rows] == ["velib"]


def test_feature_runs_are_listed(pmpctl):
    code, told = pmpctl("features", "status")
    (run,) = told["runs"]
    assert code == 0
    assert (run["run_id"], run["engine"], run["status"]) == ("run-1", "sql", "requested")
    assert run["as_of"] == "2026-01-24T12:00:00Z"


def test_status_without_a_stack_is_one_section(pmpctl):
    told = {"target": "local", "ok": False, "problems": [], "processes": {"error": "not running"}}
    assert pmpctl("status") == (1, told)
