"""`ingest_events` makes of a message what the writer makes of it."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apache_beam as beam
import msgspec
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.deduplicate import DeduplicatePerKey
from apache_beam.utils.timestamp import Duration

from pmp_beam.ingest_events import REJECTED, Key, KeyByEvent, row_letter, rows_of
from pmp_beam.io import RejectedRow
from pmp_schema.dead_letters import REPLAY_COUNT
from pmp_schema.errors import Reason
from pmp_schema.message import Message
from pmp_writer.handler import Handler
from tests.fakes.recording import RecordingPublisher, RecordingSink

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("sensor_event.v1.*.json"))
NOW = datetime.now(UTC)


def example(path):
    return Message(
        data=path.read_bytes(),
        message_id=path.name,
        attributes={"ce-id": path.name, "k": "v"},
        publish_ts=NOW,
        subscription="sub",
    )


def random_messages(count):
    chance = random.Random(4)
    for number in range(count):
        event = {
            "event_id": f"e-{chance.randrange(count)}",
            "station_id": chance.choice(["A_101", "é", "1", "", 7]),
            "ts_iso": (NOW - timedelta(days=chance.choice([0, 1, 400, 20_000]))).isoformat(),
            "kind": chance.choice(["pickup", "dropoff", "dropoff", "stolen"]),
            "delta": chance.choice([1, 3, 0, -1, "1", 2**70]) if chance.random() < 0.3 else 2,
            "city_id": chance.choice([None, "paris", ""]),
            "battery": chance.choice([None, 1.5, {"a": [1]}]),
        }
        left = {name: value for name, value in event.items() if chance.random() < 0.97}
        data = msgspec.json.encode(left)
        if chance.random() < 0.05:
            data = data[: chance.randrange(len(data))]
        yield Message(data=data, message_id=str(number), attributes={"n": str(number)}, publish_ts=NOW)


MESSAGES = [*map(example, EXAMPLES), *random_messages(400)]


def by_writer(message):
    """Rows, and dead letters as (data, attributes)."""
    sink, publisher = RecordingSink(), RecordingPublisher()
    Handler({"raw_events": sink}, publisher, lambda: NOW).handle("sensor-events", message)
    return sink.rows, [(letter.data, comparable(letter)) for _, letter in publisher.published]


def by_pipeline(message):
    rows, letters = [], []
    for output in KeyByEvent().process(message):
        if isinstance(output, beam.pvalue.TaggedOutput):
            letters.append((output.value.data, comparable(output.value)))
        else:
            (row,) = rows_of(output[1])
            assert output[0] == (str(row["event_date"]), row["station_id"], row["event_id"], "")
            rows.append(row)
    return rows, letters


def test_a_replay_is_no_double_of_the_try_that_was_refused():
    first = MESSAGES[0]
    again = replace(first, attributes={**first.attributes, REPLAY_COUNT: "1"})
    ((one, _),), ((other, _),) = ([*KeyByEvent().process(message)] for message in (first, again))
    assert one[:3] == other[:3]
    assert one != other


def comparable(letter):
    """The attributes but for who gave it up, and when."""
    return {k: v for k, v in letter.attributes.items() if k not in {"pmp-stage", "pmp-dead-lettered-at"}}


def test_there_are_messages_of_both_kinds():
    letters = [bool(by_writer(message)[1]) for message in MESSAGES]
    assert len(EXAMPLES) > 10
    assert 50 < sum(letters) < len(MESSAGES) - 50


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.message_id)
def test_rows_and_dead_letters_are_those_of_the_writer(message):
    assert by_pipeline(message) == by_writer(message)


def test_an_event_that_comes_again_is_one_row_and_an_id_of_another_station_or_day_is_another():
    def event(message_id, **changes):
        fields = {
            "event_id": "e-1",
            "station_id": "A",
            "ts_iso": NOW.isoformat(),
            "kind": "pickup",
            "delta": 1,
        }
        return Message(data=msgspec.json.encode(fields | changes), message_id=message_id)

    yesterday = (NOW - timedelta(days=1)).isoformat()
    messages = [event("1"), event("2"), event("3", station_id="B"), event("4", ts_iso=yesterday), event("5")]
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        kept = (
            pipeline
            | beam.Create(messages)
            | beam.ParDo(KeyByEvent()).with_output_types(tuple[Key, bytes])
            | DeduplicatePerKey(processing_time_duration=Duration(seconds=600))
            | beam.Values()
            | beam.FlatMap(rows_of)
            | beam.Map(lambda row: (row["station_id"], row["event_date"] == NOW.date()))
        )
        assert_that(kept, equal_to([("A", True), ("B", True), ("A", False)]))


def test_a_refused_row_is_a_letter_with_the_whole_message():
    message = example(EXAMPLES[0])
    rejected = RejectedRow(msgspec.msgpack.encode(message), {}, Reason.ROW_REJECTED, "delta")
    letter = row_letter(rejected)
    assert letter.data == message.data
    found = {name: letter.attributes[f"pmp-{name}"] for name in ("reason", "detail", "source-topic", "stage")}
    assert found == {
        "reason": "row_rejected",
        "detail": "delta",
        "source-topic": "pmp-sensor-events",
        "stage": "beam/ingest_events",
    }
    assert letter.attributes["k"] == "v"
    assert REJECTED == "rejected"
