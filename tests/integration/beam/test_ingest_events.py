"""`python -m pmp_beam ingest_events` on both emulators: sensor events in, rows of raw_events out."""

import uuid
from datetime import UTC, datetime

import msgspec
import pytest

from pmp_runtime.pubsub.outgoing import Outgoing
from tests.fakes.pipeline_process import pipeline_process
from tests.fakes.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running(project, tmp_path_factory):
    log = tmp_path_factory.mktemp("pipeline") / "ingest_events.log"
    with pipeline_process(["ingest_events"], project.env, log) as process:
        yield process
        assert process.is_running, log.read_text()


def event(run, number, **changes):
    fields = {
        "event_id": f"{run}-{number}",
        "station_id": "A_101",
        "ts_iso": datetime.now(UTC).isoformat(),
        "kind": "pickup",
        "delta": 1,
    }
    return Outgoing(msgspec.json.encode(fields | changes), {"run": run})


def rows(project, run):
    sql = f"SELECT * FROM `{project.name}.pmp_raw.raw_events` WHERE STARTS_WITH(event_id, '{run}')"
    return project.tables(run).query(sql)


def test_events_become_rows_once_however_often_they_come(project, running):
    run = uuid.uuid4().hex
    events = [event(run, number) for number in range(60)]
    ids = project.publish("sensor-events", *events, *events[:20])
    last = event(run, "last", kind="dropoff", delta=3, city_id="paris", battery=0.5)
    project.publish("sensor-events", *events[:5], last)
    found = eventually(lambda: kept if len(kept := rows(project, run)) >= 61 else None)
    assert len(found) == len({row["event_id"] for row in found}) == 61
    assert {row["message_id"] for row in found} > set(ids[20:60])
    (row,) = (row for row in found if row["event_id"] == f"{run}-last")
    kept = ("station_id", "kind", "delta", "city_id", "source", "extra")
    assert [row[name] for name in kept] == ["A_101", "dropoff", 3, "paris", "sensor", {"battery": 0.5}]
    assert row["ingest_ts"] >= row["publish_ts"]


def test_what_is_no_event_is_a_dead_letter(project, running):
    run = uuid.uuid4().hex
    project.pulled("dead-letters")
    project.publish("sensor-events", event(run, 1, kind="stolen"), event(run, 2))
    eventually(lambda: rows(project, run))
    (letter,) = eventually(lambda: project.pulled("dead-letters"))
    assert letter.attributes["pmp-reason"] == "unknown_kind"
    assert letter.attributes["pmp-stage"] == "beam/ingest_events"
    assert letter.attributes["pmp-source-subscription"] == "pmp-sensor-events-dataflow-sub"
    assert letter.attributes["run"] == run
