from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from pmp_replayer.dead_letter import from_message, from_row
from pmp_replayer.request import ReplayRequest
from pmp_schema.dead_letter_row import dead_letter_row
from pmp_schema.dead_letters import DeadLetter
from pmp_schema.errors import Reason
from pmp_schema.message import Message

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)


def dead_lettered(**attributes):
    original = Message(
        data=b"\x00\xff", message_id="m-1", attributes=attributes, publish_ts=EARLIER, delivery_attempt=2
    )
    letter = DeadLetter(
        message=original,
        data=original.data,
        reason=Reason.SCHEMA,
        detail="d",
        stage="writer/snapshots",
        source_topic="pmp-events",
    )
    return Message(data=letter.data, message_id="m-2", attributes=letter.attributes(NOW), publish_ts=NOW)


def as_row(message):
    row = dead_letter_row(message, NOW)
    return row | {"attributes": row["attributes"].decode()}


@pytest.mark.parametrize(
    "message",
    [
        dead_lettered(),
        dead_lettered(tenant="paris", **{"pmp-replay-count": "2"}),
        dead_lettered(**{"ce-type": "station_status_snapshot", "ce-source": "velib"}),
        Message(data=b"bare", message_id="m-3"),
        Message(
            data=b"forwarded",
            message_id="m-4",
            attributes={
                "CloudPubSubDeadLetterSourceSubscription": "pmp-sensor-events-to-bq-sub",
                "CloudPubSubDeadLetterSourceDeliveryCount": "100",
                "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-01-01T00:00:00Z",
                "tenant": "paris",
            },
        ),
    ],
)
def test_hold_and_table_give_the_same_letter(message):
    assert from_message(message, NOW) == from_row(as_row(message))


def test_a_letter_has_the_original_message_without_what_dead_lettering_added():
    letter = from_message(dead_lettered(tenant="paris", **{"pmp-replay-count": "2"}), NOW)
    assert (letter.data, letter.attributes) == (b"\x00\xff", {"tenant": "paris", "pmp-replay-count": "2"})
    assert (letter.reason, letter.source_topic) == ("schema", "pmp-events")
    assert (letter.replay_count, letter.published_at) == (2, EARLIER)


def test_a_letter_forwarded_by_pubsub_itself_knows_its_topic():
    attributes = {"CloudPubSubDeadLetterSourceSubscription": "pmp-sensor-events-to-bq-sub", "a": "b"}
    letter = from_message(Message(data=b"x", message_id="m", attributes=attributes), NOW)
    assert (letter.source_topic, letter.reason, letter.attributes) == (
        "pmp-sensor-events",
        "delivery_attempts",
        {"a": "b"},
    )


MATCHING = [
    {},
    {"reason": "schema"},
    {"source_topic": "pmp-events"},
    {"system": "velib"},
    {"published_after": "2026-01-01T00:00:00Z"},
    {"published_after": "2026-01-01T00:00:00+01:00"},
    {"published_before": "2026-01-01T00:00:01"},
]
OTHERS = [
    {"reason": "not_json"},
    {"source_topic": "pmp-sensor-events"},
    {"system": "citibike"},
    {"reason": "schema", "system": "citibike"},
    {"published_after": "2026-01-01T00:00:00.000001Z"},
    {"published_before": "2026-01-01T00:00:00Z"},
]


@pytest.mark.parametrize("criteria", MATCHING + OTHERS)
def test_a_letter_matches_all_criteria_or_not_at_all(a_letter, criteria):
    letter = a_letter(system_id="velib", source_topic="pmp-events", published_at=EARLIER)
    assert msgspec.convert(criteria, ReplayRequest).matches(letter) is (criteria in MATCHING)


def test_a_letter_without_a_publish_time_matches_no_time(a_letter):
    request = msgspec.convert({"published_before": "2030-01-01T00:00:00Z"}, ReplayRequest)
    assert not request.matches(a_letter(published_at=None))


def test_a_dead_letter_of_cut_data_has_none_to_replay():
    message = dead_lettered()
    cut = replace(message, attributes={**message.attributes, "pmp-data-cut": "true"})
    assert (from_message(message, NOW).data, from_message(cut, NOW).data) == (b"\x00\xff", None)
