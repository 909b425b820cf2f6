"""The SQL engine's script on the BigQuery emulator."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pmp_launcher.cloud.ends import ToldEnds
from pmp_launcher.cloud.executor import Progress
from pmp_launcher.feature_run import Run
from pmp_launcher.sql_engine import script, staging_table
from pmp_runtime.bigquery.queries import BigQueryUnavailable, Queries
from pmp_runtime.bigquery.statements import BigQueryStatements
from pmp_schema.features.runs import Status, Wanted
from pmp_schema.sql import render_query
from tests.fakes.feature_oracle import expected_rows, scenario
from tests.fakes.feature_run import by_key, raw_rows
from tests.fakes.pubsub_server import pubsub_server

pytestmark = pytest.mark.integration

RUN = "features-sql-20251116t021500z"
MINUTE = timedelta(minutes=1)
REQUESTED_AT = datetime(2025, 11, 16, 2, 16, tzinfo=UTC)


@pytest.fixture(scope="module")
def given(emulated):
    """A scenario whose events are in the tables."""
    given = scenario(1010)
    rows = [
        {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()}
        for row in raw_rows(given.events)
    ]
    for first in range(0, len(rows), 200):
        emulated.insert("raw_events", rows[first : first + 200])
    return given


@pytest.fixture
def warehouse(emulated):
    emulated.run(f"DELETE FROM `{emulated.tables.station_features}` WHERE TRUE")
    return BigQueryStatements(emulated.client, call_s=20, statement_s=60)


def run_script(warehouse, tables, given, attempt):
    return script(
        warehouse,
        tables,
        as_of=given.as_of,
        known_at=given.known_at,
        attempt_id=f"{RUN}-{attempt}",
        now=given.known_at,
    )


def check_rows(emulated, given):
    expected = expected_rows(given.events, given.as_of, given.known_at)
    stored = emulated.run(f"SELECT * FROM `{emulated.tables.station_features}`")
    assert by_key(stored) == pytest.approx(expected, rel=1e-9, abs=0)
    return len(expected)


def test_a_run_and_its_repetition_leave_the_rows_of_the_oracle(emulated, warehouse, given):
    for attempt in (1, 2):
        (row,) = warehouse.query(run_script(warehouse, emulated.tables, given, attempt))
        assert row["written"] == check_rows(emulated, given)


def contested(alone, tables, *, merges):
    """A run beside whose first merges another attempt merges the same rows: nothing is deleted, so both sets stay."""
    other = (
        f"IF merges <= {merges} THEN INSERT INTO"
        f" `{tables.station_features}` SELECT * FROM `{tables.station_features}`; END IF;"
    )
    # The emulator (1.4) has neither @@error nor RAISE: the handler goes, and what is no number fails with its text.
    sql = re.sub(r"(?s)EXCEPTION WHEN ERROR THEN.*(  END;\nEND LOOP;)", r"\1", alone.sql)
    sql = re.sub(r"RAISE USING MESSAGE = ('[^']*')", r"SELECT CAST(\1 AS INT64)", sql)
    head, merge, rest = sql.partition("THEN\n  DELETE;")
    return replace(alone, sql=f"{head}{merge}\n{other}{rest}")


def test_two_attempts_that_merge_at_once_leave_one_set(emulated, warehouse, given):
    """Where there was no set before, neither deletes a row; so BigQuery lets both pass, and both sets are there."""
    alone = run_script(warehouse, emulated.tables, given, 1)
    (row,) = warehouse.query(contested(alone, emulated.tables, merges=4))
    assert row["written"] == check_rows(emulated, given)


def test_a_run_whose_rows_are_not_alone_in_the_end_fails(emulated, warehouse, given):
    alone = run_script(warehouse, emulated.tables, given, 1)
    with pytest.raises(BigQueryUnavailable, match="another attempt goes on merging"):
        warehouse.query(contested(alone, emulated.tables, merges=5))


def test_the_process_of_a_local_run_tells_how_many_rows_it_has_written(emulated):
    as_of = "2025-11-16T02:15:00Z"
    command = [sys.executable, "-m", "pmp_launcher", "station_features", f"--run-id={RUN}-3"]
    with pubsub_server() as pubsub:
        env = os.environ | {
            "PROJECT_ID": emulated.client.project,
            "BIGQUERY_EMULATOR_HOST": emulated.rest,
            "PUBSUB_EMULATOR_HOST": pubsub.address,
        }
        done = subprocess.run(
            [*command, f"--as-of={as_of}", "--known-at=2025-11-16T02:14:00Z"],
            env=env,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        ((_, message),) = pubsub.published
    event = json.loads(message.data)
    stored = emulated.run(
        f"SELECT COUNT(*) AS n FROM `{emulated.tables.station_features}` WHERE as_of = TIMESTAMP '{as_of}'"
    )
    assert (event["id"], event["data"]["rows"]) == (f"{RUN}-3-succeeded", stored[0]["n"])


def test_an_attempt_stages_in_a_table_of_its_own_beside_the_features(emulated):
    assert staging_table(emulated.tables, f"{RUN}-2") == (
        f"{emulated.client.project}.pmp_features.station_features_features_sql_20251116t021500z_2"
    )


def test_runs_of_the_last_week_without_an_end_are_unfinished(emulated):
    def told(run_id, *statuses, days=0.0, apart=MINUTE):
        at = datetime.now(UTC) - timedelta(hours=1, days=days)
        return [
            {
                "event_id": f"{run_id}-{n}-{status}",
                "type": f"feature_run.{status}",
                "subject": run_id,
                "time": (at + n * apart).isoformat(),
                "data": json.dumps({"engine": "sql"}),
                "publish_ts": at.isoformat(),
            }
            for n, status in enumerate(statuses)
        ]

    emulated.insert(
        "events",
        [
            *told("r-1", "requested"),
            *told("r-2", "requested", "started"),
            *told("r-3", "requested", "started", "succeeded"),
            *told("r-4", "requested", "failed"),
            *told("begun-again", "requested", "started", "failed", "requested", "started"),
            *told("late-end", "requested", "started", "succeeded", "failed", "started"),
            *told("at-once", "requested", "started", "failed", apart=0 * MINUTE),
            *told("young", "requested", days=6.9),
            *told("old", "requested", "started", days=7.1),
            *told("begun-lately", "requested", "started", days=7.5, apart=timedelta(days=1)),
        ],
    )
    found = Queries(emulated.client, "pmp_launcher", timeout_s=20).rows("unfinished_runs")
    assert sorted(row["run_id"] for row in found) == ["begun-again", "begun-lately", "r-1", "r-2", "young"]


def test_unfinished_runs_are_asked_of_the_partitions_of_some_days():
    """A filter on what a view aggregates prunes nothing."""
    sql = render_query("pmp_launcher", "unfinished_runs", "p")
    assert re.findall("`(.*)`", sql) == ["p.pmp_ops.events"]
    assert re.search(r"\n +time >= TIMESTAMP_SUB\(CURRENT_TIMESTAMP\(\), INTERVAL 8 DAY\)\n", sql)


@pytest.fixture
def ask(emulated):
    """Tells events of attempts (id, minute, data), in the order of their publication, then asks how one has ended."""

    def ask(attempt, *events):
        rows = [
            {
                "event_id": event_id,
                "type": f"feature_run.{event_id.rpartition('-')[2]}",
                "subject": attempt.run_id,
                "time": (REQUESTED_AT + timedelta(minutes=minute)).isoformat(),
                "data": json.dumps(data),
                "publish_ts": (REQUESTED_AT + timedelta(hours=1, seconds=order)).isoformat(),
            }
            for order, (event_id, minute, data) in enumerate(events)
        ]
        if rows:
            emulated.insert("events", rows)
        return ToldEnds(Queries(emulated.client, "pmp_launcher", timeout_s=20))(attempt)

    return ask


def attempt_of(run_id, number=1):
    return Run(
        wanted=Wanted.of_run(run_id, REQUESTED_AT),
        executor="cloud-run-job",
        attempt=number,
        status=Status.REQUESTED,
        requested_at=REQUESTED_AT,
    )


def test_an_attempt_has_ended_as_was_first_told_and_success_is_final(ask):
    run_id = "features-beam-20251101t000000z"
    assert ask(
        attempt_of(run_id),
        (f"{run_id}-1-started", 1, {}),
        (f"{run_id}-1-failed", 20, {"error": "deadline of 1200 s"}),
        (f"{run_id}-1-succeeded", 21, {"rows": 7}),
        (f"{run_id}-1-succeeded", 22, {}),
    ) == Progress(status=Status.SUCCEEDED, finished_at=REQUESTED_AT + timedelta(minutes=21), rows=7)


def test_the_end_of_another_attempt_is_not_this_one_s(ask):
    run_id = "features-beam-20251102t000000z"
    told = [(f"{run_id}-1-failed", 3, {"error": "killed"}), (f"{run_id}-11-succeeded", 9, {"rows": 1})]
    assert ask(attempt_of(run_id), *told) == Progress(
        status=Status.FAILED, finished_at=REQUESTED_AT + timedelta(minutes=3), error="killed"
    )
    assert ask(attempt_of(run_id, 2)) is None
