"""`python -m pmp_beam curate_status` on both emulators: snapshots in, rows and events out."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pmp_schema.message import Message
from tests.fakes.curation_history import bikes, message
from tests.fakes.pipeline_process import pipeline_process
from tests.fakes.waiting import eventually
from tests.integration.beam.test_history import raw

pytestmark = pytest.mark.integration
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LOST = "lost"


def snapshot(system, minute, stations):
    return message(stations, START + minute * MINUTE, system=system)


@pytest.fixture(scope="module")
def running(project, tmp_path_factory):
    """The pipeline, after a while in which snapshots of one system came to the raw table and nowhere else."""
    lost = [snapshot(LOST, minute, bikes(a=count)) for minute, count in enumerate((5, 3, 3, 4))]
    project.tables(LOST).insert("feed_snapshots", *map(raw, lost))
    log = tmp_path_factory.mktemp("pipeline") / "curate_status.log"
    with pipeline_process(["curate_status", "--catch-up-s", "2"], project.env, log) as process:
        yield process
        assert process.is_running, log.read_text()


def polls(project, system):
    rows = project.tables(system).view("feed_polls", "feed_ts, verdict, stations, changed, bikes")
    return sorted(rows, key=lambda row: row["feed_ts"])


def eventually_polls(project, system, count):
    return eventually(lambda: found if len(found := polls(project, system)) == count else None)


def derived(project, system, published):
    """(station, kind, delta) of the events that were derived from a system's snapshots."""
    found = [msgspec.json.decode(one.data) for one in published]
    return [(one["station_id"], one["kind"], one["delta"]) for one in found]


def test_snapshots_become_rows_polls_and_events(project, running, system):
    project.publish("snapshots", *(snapshot(system, 0, bikes(x=5, y=1)),))
    eventually_polls(project, system, 1)
    project.pulled("sensor-events")
    later = [snapshot(system, 1, bikes(x=3, y=1)), snapshot(system, 2, bikes(x=3, y=1))]
    project.publish("snapshots", *later)
    found = eventually_polls(project, system, 3)
    assert [(row["verdict"], row["stations"], row["changed"], row["bikes"]) for row in found] == [
        ("ok", 2, 2, 6),
        ("ok", 2, 1, 4),
        ("unchanged", 2, 0, 4),
    ]
    rows = project.tables(system).view("station_status", "station_id, bikes, change, feed_ts, quality")
    assert sorted((row["station_id"], row["bikes"], row["change"], row["feed_ts"]) for row in rows) == [
        ("x", 3, "counts", START + MINUTE),
        ("x", 5, "first", START),
        ("y", 1, "first", START),
    ]
    assert derived(project, system, project.pulled("sensor-events")) == [("x", "pickup", 2)]


def test_what_is_no_snapshot_and_what_is_no_station_are_dead_letters(project, running, system):
    eventually_polls(project, LOST, 4)
    project.pulled("dead-letters")
    poison = Message(data=b"{", message_id="", attributes={"test": system})
    (poison_id,) = project.publish("snapshots", poison)
    project.publish("snapshots", snapshot(system, 0, [*bikes(x=5), {"station_id": None}]))
    (row,) = eventually_polls(project, system, 1)
    assert (row["verdict"], row["stations"]) == ("ok", 1)
    letters = project.pulled("dead-letters")
    assert sorted(one.attributes["pmp-reason"] for one in letters) == ["not_json", "station_invalid"]
    (given_up,) = (one for one in letters if one.attributes["pmp-reason"] == "not_json")
    assert (given_up.data, given_up.attributes["test"]) == (b"{", system)
    assert given_up.attributes["pmp-original-message-id"] == poison_id


def test_an_empty_blip_derives_nothing_and_is_told(project, running, system):
    project.publish("snapshots", snapshot(system, 0, bikes(x=5)))
    eventually_polls(project, system, 1)
    project.pulled("sensor-events")
    project.pulled("ops-events")
    project.publish("snapshots", snapshot(system, 1, []), snapshot(system, 2, bikes(x=5)))
    found = eventually_polls(project, system, 3)
    assert [row["verdict"] for row in found] == ["ok", "suspect", "unchanged"]
    assert project.pulled("sensor-events") == []
    told = [msgspec.json.decode(one.data) for one in project.pulled("ops-events")]
    ours = [one["type"] for one in told if one.get("subject") == system]
    assert ours == ["feed.suspect", "feed.recovered"]


def test_snapshots_that_were_lost_before_the_start_are_curated(project, running):
    found = eventually_polls(project, LOST, 4)
    assert [row["verdict"] for row in found] == ["ok", "ok", "unchanged", "ok"]
    rows = project.tables(LOST).view("station_status", "feed_ts, bikes")
    assert sorted((row["feed_ts"], row["bikes"]) for row in rows) == [
        (START, 5),
        (START + MINUTE, 3),
        (START + 3 * MINUTE, 4),
    ]


def test_snapshots_that_are_lost_while_it_runs_are_curated(project, running):
    eventually_polls(project, LOST, 4)
    tables = project.tables(LOST)
    tables.insert("feed_snapshots", raw(snapshot(LOST, 4, bikes(a=9))))
    assert eventually_polls(project, LOST, 5)[-1]["bikes"] == 9


def test_a_signal_ends_it(project, tmp_path):
    log = tmp_path / "log"
    with pipeline_process(["curate_status"], project.env, log) as process:
        eventually(lambda: b"pipeline.started" in log.read_bytes())
        assert process.stop() == 0
    assert b"pipeline.stopped" in log.read_bytes()


@pytest.mark.timeout(300)
def test_a_pipeline_that_failed_starts_again_in_the_same_process(project, tmp_path):
    log = tmp_path / "log"
    nowhere = {"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9", "BEAM_QUERY_TIMEOUT_S": "0.5"}
    with pipeline_process(["curate_status"], project.env | nowhere, log) as process:
        # An idle pull blocks this runner for half a minute, and it gives up after four failures.
        eventually(lambda: log.read_bytes().count(b"pipeline.started") == 2, 240)
        assert b"pipeline.failed" in log.read_bytes()
        assert process.is_running


def test_a_backfill_curates_what_was_ingested_before_the_first_job_and_ends(project, running, system):
    tables = project.tables(system)
    older = [snapshot(system, minute, bikes(a=count)) for minute, count in enumerate((5, 3))]
    tables.insert("feed_snapshots", *map(raw, older))
    began = {"feed_ts": START + 2 * MINUTE, "verdict": "ok"}
    tables.insert("feed_polls", began)
    command = ["curate_status", "--backfill-since", (START - MINUTE).isoformat()]
    done = subprocess.run(
        [sys.executable, "-m", "pmp_beam", *command],
        env=os.environ | project.env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = polls(project, system)
    assert [(row["verdict"], row["bikes"]) for row in found] == [("ok", 5), ("ok", 3), ("ok", None)]
    rows = tables.view("station_status", "bikes, change")
    assert sorted((row["change"], row["bikes"]) for row in rows) == [("counts", 3), ("first", 5)]
