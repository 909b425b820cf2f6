"""Outcomes are messages that the writer accepts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import msgspec

from pmp_curation.curator import Curator
from pmp_schema import message_rows
from pmp_schema.message import Message
from pmp_schema.snapshots import receive_snapshot
from tests.fakes.curation_history import CurationHistory, bikes, message

ROOT = Path(__file__).parents[3]
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = START + timedelta(hours=1)


def schema(name):
    return msgspec.json.decode((ROOT / f"shared/schema/src/pmp_schema/schemas/{name}.v1.json").read_bytes())


def outcomes(*snapshots):
    curator = Curator("velib", None, CurationHistory(), lambda: NOW)
    return [
        outcome
        for minute, stations in enumerate(snapshots)
        for outcome in curator.take(
            receive_snapshot(message(stations, START + timedelta(minutes=minute)), NOW)
        )
    ]


def pushed(outgoing):
    return Message(data=outgoing.data, message_id="1", attributes=outgoing.attributes)


def test_rides_are_events_that_the_writer_accepts():
    (_, second) = outcomes(bikes(a=5, b=1), bikes(a=3, b=2))
    for derived, (kind, delta) in zip(second.rides, [("pickup", 2), ("dropoff", 1)], strict=True):
        event = msgspec.json.decode(derived.data)
        jsonschema.validate(event, schema("sensor_event"))
        (row,) = message_rows.build("sensor-events", pushed(derived), NOW).rows
        found = {name: row[name] for name in ("kind", "delta", "source", "city_id", "ts_iso")}
        assert found == {
            "kind": kind,
            "delta": delta,
            "source": "derived",
            "city_id": "paris",
            "ts_iso": START + timedelta(minutes=1),
        }
        assert derived.attributes == {
            "ce-specversion": "1.0",
            "ce-id": row["event_id"],
            "ce-type": "sensor_event",
            "ce-source": "pmp-beam",
            "ce-time": "2026-03-01T12:01:00Z",
        }


def test_feed_events_are_ops_events_that_the_writer_accepts():
    _, empty, back = outcomes(bikes(a=5), [], bikes(a=5))
    for outcome, kind in ((empty, "feed.suspect"), (back, "feed.recovered")):
        (event,) = outcome.ops_events
        jsonschema.validate(msgspec.json.decode(event.data), schema("ops_event"))
        (row,) = message_rows.build("ops-events", pushed(event), NOW).rows
        assert (row["type"], row["source"], row["subject"]) == (kind, "pmp-beam", "velib")
    assert empty.ops_events != back.ops_events


def test_bad_stations_are_one_dead_letter_that_can_be_replayed_alone():
    (outcome,) = outcomes([*bikes(a=5), {"station_id": None}, "text"])
    assert [row["station_id"] for row in outcome.status_rows] == ["a"]
    (letter,) = outcome.dead_letters
    envelope = msgspec.json.decode(letter.data)
    assert envelope["source"] == "velib"
    assert envelope["payload"] == {"data": {"stations": [{"station_id": None}, "text"]}}
    assert letter.attributes["pmp-reason"] == "station_invalid"
    assert outcome.polls[0]["rejected_rows"] == 2


def test_an_outcome_does_not_carry_the_body():
    (outcome,) = outcomes(bikes(a=5))
    assert outcome.message.data == b""
    assert outcome.message.message_id == message(bikes(a=5), START).message_id
