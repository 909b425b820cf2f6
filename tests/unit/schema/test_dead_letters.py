import gzip
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmp_schema import dead_letters
from pmp_schema.dead_letter_row import dead_letter_row
from pmp_schema.dead_letters import DeadLetter, original_attributes, truncate
from pmp_schema.errors import Reason
from pmp_schema.message import Message

NOW = datetime(2026, 1, 24, 16, 30, tzinfo=UTC)
MESSAGE = Message(
    data=b"\xff\x00",
    message_id="7",
    attributes={"ce-type": "station_status_snapshot", "ce-source": "velib", "pmp-replay-count": "2"},
    publish_ts=datetime(2026, 1, 24, 16, tzinfo=UTC),
    subscription="pmp-events-to-bq-sub",
    delivery_attempt=3,
)
LETTER = DeadLetter(
    message=MESSAGE,
    data=MESSAGE.data,
    reason=Reason.NOT_UTF8,
    detail="byte 0",
    stage="writer/snapshots",
    source_topic="pmp-events",
)
OURS = {
    "pmp-reason": "not_utf8",
    "pmp-detail": "byte 0",
    "pmp-stage": "writer/snapshots",
    "pmp-dead-letter-id": LETTER.id,
    "pmp-dead-lettered-at": "2026-01-24T16:30:00Z",
    "pmp-source-topic": "pmp-events",
    "pmp-source-subscription": "pmp-events-to-bq-sub",
    "pmp-original-message-id": "7",
    "pmp-original-publish-time": "2026-01-24T16:00:00Z",
    "pmp-delivery-attempts": "3",
}


def test_a_dead_letter_keeps_the_attributes_and_adds_what_went_wrong():
    assert LETTER.published(NOW) == (LETTER.data, dict(MESSAGE.attributes) | OURS)


def test_what_is_not_known_is_left_out():
    bare = replace(LETTER, message=Message(data=b"", message_id="7"), data=b"", detail="")
    assert bare.attributes(NOW).keys() == OURS.keys() - {
        "pmp-detail",
        "pmp-source-subscription",
        "pmp-original-publish-time",
        "pmp-delivery-attempts",
    }


def test_a_dead_letter_that_fails_again_carries_the_latest_failure_only():
    replayed = replace(
        MESSAGE, attributes=LETTER.attributes(NOW) | {"CloudPubSubDeadLetterSourceTopicId": "x"}
    )
    again = replace(LETTER, message=replayed, reason=Reason.NOT_JSON)
    assert again.attributes(NOW) == dict(MESSAGE.attributes) | OURS | {
        "pmp-reason": "not_json",
        "pmp-dead-letter-id": again.id,
    }
    assert original_attributes(replayed.attributes) == dict(MESSAGE.attributes)


def test_the_id_tells_failures_apart_and_redeliveries_not():
    redelivered = replace(LETTER, message=replace(MESSAGE, delivery_attempt=9, subscription=None))
    assert redelivered.id == LETTER.id
    others = [
        replace(LETTER, data=b"x"),
        replace(LETTER, reason=Reason.SCHEMA),
        replace(LETTER, source_topic="pmp-station-info"),
        replace(LETTER, message=replace(MESSAGE, message_id="8")),
    ]
    assert len({LETTER.id, *(other.id for other in others)}) == 5


def test_a_part_of_a_gzip_message_is_not_called_gzip():
    message = Message(data=gzip.compress(b"{}"), message_id="7", attributes={"content-encoding": "gzip"})
    whole = replace(LETTER, message=message, data=message.data)
    assert whole.attributes(NOW)["content-encoding"] == "gzip"
    assert "content-encoding" not in replace(whole, data=b"{}").attributes(NOW)


@pytest.mark.parametrize("given", [{}, {f"a{n}": "é" * 500 for n in range(100)}])
def test_data_that_leaves_no_room_for_attributes_is_cut_and_told(given):
    large = bytes(range(250)) * 40_000
    letter = replace(LETTER, message=replace(MESSAGE, data=large, attributes=given), data=large)
    data, attributes = letter.published(NOW)
    size = len(data) + sum(len(name.encode()) + len(value.encode()) for name, value in attributes.items())
    assert size == dead_letters.MAX_MESSAGE_BYTES
    assert large.startswith(data)
    assert len(attributes) <= dead_letters.MAX_ATTRIBUTES
    assert attributes["pmp-data-cut"] == "true"
    digest = hashlib.sha256(large).hexdigest()
    assert attributes["pmp-detail"] == f"data of 10000000 bytes with sha256 {digest} is cut; byte 0"
    assert attributes["pmp-dead-letter-id"] == letter.id
    assert original_attributes(attributes).items() <= given.items()
    row = dead_letter_row(Message(data=data, message_id="9", attributes=attributes), NOW)
    assert (row["data"], row["detail"]) == (None, attributes["pmp-detail"])


@pytest.mark.parametrize(("given", "dropped"), [(90, None), (100, "11")])
def test_of_more_than_100_attributes_some_are_dropped_and_counted(given, dropped):
    many = replace(MESSAGE, attributes={f"a{n}": "v" for n in range(given)})
    attributes = replace(LETTER, message=many).attributes(NOW)
    assert len(attributes) == 100
    assert attributes.get("pmp-attributes-dropped") == dropped
    assert attributes.items() >= OURS.items()


@given(
    attributes=st.dictionaries(st.text(max_size=300), st.text(max_size=1100), max_size=5), detail=st.text()
)
def test_whatever_it_was_can_be_published(attributes, detail):
    letter = replace(LETTER, message=replace(MESSAGE, attributes=attributes), detail=detail * 50)
    published = letter.attributes(NOW)
    assert len(published) <= dead_letters.MAX_ATTRIBUTES
    assert all(0 < len(name.encode()) <= dead_letters.MAX_KEY_BYTES for name in published)
    assert all(len(value.encode()) <= dead_letters.MAX_VALUE_BYTES for value in published.values())


@given(st.text(max_size=60))
def test_truncation_cuts_no_character(text):
    cut = truncate(text, 20)
    assert text.startswith(cut)
    assert len(cut.encode()) <= 20
    assert cut == text or len(text[: len(cut) + 1].encode()) > 20
    assert truncate("a\ud800") == "a?"


def test_a_dead_letter_message_becomes_a_row():
    message = Message(data=LETTER.data, message_id="99", attributes=LETTER.attributes(NOW), publish_ts=NOW)
    row = dead_letter_row(message, NOW)
    assert row | {"attributes": json.loads(row["attributes"])} == {
        "dead_letter_id": LETTER.id,
        "reason": "not_utf8",
        "detail": "byte 0",
        "source_topic": "pmp-events",
        "source_subscription": "pmp-events-to-bq-sub",
        "system_id": "velib",
        "data": b"\xff\x00",
        "attributes": dict(MESSAGE.attributes),
        "original_message_id": "7",
        "original_publish_ts": MESSAGE.publish_ts,
        "delivery_attempts": 3,
        "replay_count": 2,
        "dead_lettered_ts": NOW,
    }


def test_a_message_that_pubsub_gave_up_names_its_topic_by_its_subscription():
    forwarded = {
        "CloudPubSubDeadLetterSourceSubscription": "pmp-sensor-events-to-bq-sub",
        "CloudPubSubDeadLetterSourceDeliveryCount": "100",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-01-24T16:00:00Z",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
    }
    row = dead_letter_row(Message(data=b"", message_id="9", attributes=forwarded), NOW)
    assert row == {
        "dead_letter_id": "9",
        "reason": "delivery_attempts",
        "detail": None,
        "source_topic": "pmp-sensor-events",
        "source_subscription": "pmp-sensor-events-to-bq-sub",
        "system_id": None,
        "data": b"",
        "attributes": b"{}",
        "original_message_id": "9",
        "original_publish_ts": datetime(2026, 1, 24, 16, tzinfo=UTC),
        "delivery_attempts": 100,
        "replay_count": 0,
        "dead_lettered_ts": NOW,
    }


@pytest.mark.parametrize(
    "odd",
    ["1970-01-01T00:00:00Z", "2010-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "soon", "-1", "9" * 5000, "²"],
)
def test_odd_counts_are_left_out_and_odd_times_replaced_by_that_of_the_publish(odd):
    names = ("pmp-delivery-attempts", "pmp-replay-count", "pmp-dead-lettered-at")
    given = Message(data=b"x", message_id="9", attributes=dict.fromkeys(names, odd))
    published = datetime(2026, 1, 24, 16, tzinfo=UTC)
    for publish_ts, expected in [
        (published, published),
        (datetime(1970, 1, 1, tzinfo=UTC), NOW),
        (None, NOW),
    ]:
        row = dead_letter_row(replace(given, publish_ts=publish_ts), NOW)
        assert row["dead_lettered_ts"] == expected
        assert (row["delivery_attempts"], row["replay_count"]) == (None, 0)


def test_data_that_fits_no_append_stays_in_the_hold_only():
    message = Message(data=bytes(9_900_000), message_id="9", attributes={"pmp-detail": "x"})
    row = dead_letter_row(message, NOW)
    assert row["data"] is None
    assert row["detail"] == "data of 9900000 bytes is in the hold subscription only; x"
    row = dead_letter_row(replace(message, data=bytes(9_500_000)), NOW)
    assert len(row["data"]) == 9_500_000
