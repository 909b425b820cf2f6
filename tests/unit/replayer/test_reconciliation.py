import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from pmp_replayer.reconciliation import COUNTED, Reconciliation, Repeat
from pmp_replayer.verdicts import Hour
from pmp_schema.errors import PublishFailed, RetryableError
from pmp_schema.topology import TOPOLOGY
from tests.fakes.recording import RecordingPublisher

TEN = datetime(2026, 1, 24, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATER = TEN + 12 * HOUR
REPEAT = Repeat(
    topic="pmp-events", publish_ts=TEN, message_id="m-2", event="e-1", deliveries=2, published_again=True
)
NOTHING = {"published": 0, "rows": 0, "dead_letters": 0, "duplicates": 0, "missing": 0, "surplus": 0}


def hour(after_h=0, *, topic="pmp-events", **numbers):
    return Hour(topic=topic, hour=TEN + after_h * HOUR, **numbers)


class Recorded:
    """Arrivals that a test gives; records the start of each query."""

    def __init__(self, *hours, fail_with=None):
        self.asked, self._hours, self._fail_with = [], hours, fail_with

    def hours(self, since):
        self.asked.append(since)
        if self._fail_with is not None:
            raise self._fail_with
        return [h for h in self._hours if h.hour >= since]

    def repeats(self, since):
        return [REPEAT]


@pytest.fixture
def errors(caplog):
    """What was logged as an error: message and fields."""

    def logged():
        names = ("topic", "hour", "missing", "cause")
        return [
            (record.getMessage(), {name: vars(record)[name] for name in names if name in vars(record)})
            for record in caplog.records
            if record.levelno >= logging.ERROR
        ]

    return logged


def reconciliation(*hours, fail_with=None, publisher=None):
    publisher = publisher or RecordingPublisher()
    source = Recorded(*hours, fail_with=fail_with)
    return Reconciliation(source, publisher, service="pmp-dlq-replayer"), publisher


def published(publisher):
    """The data of each verdict, by topic."""
    assert {topic for topic, _ in publisher.published} <= {"pmp-ops-events"}
    events = [json.loads(message.data) for _, message in publisher.published]
    kinds = {(event["source"], event["type"]) for event in events}
    assert kinds == {("pmp-dlq-replayer", "reconciliation.checked")}
    return {event["subject"]: event["data"] for event in events}


def test_a_look_queries_one_hour_more_than_it_shows_and_leaves_no_trace(errors):
    source, publisher = Recorded(hour(-1, rows=4, edge=1), hour(0, published=1)), RecordingPublisher()
    look = Reconciliation(source, publisher, service="s").look
    shown = {"topic": "pmp-events", "hour": "2026-01-24T10:00:00Z", **NOTHING, "published": 1, "status": "ok"}
    expected = {"since": "2026-01-24T10:00:00Z", "missing": 0, "hours": [shown]}
    assert look(TEN + HOUR / 3, LATER).as_json() == expected
    assert source.asked == [TEN - HOUR]
    repeat = {
        "topic": "pmp-events",
        "publish_ts": "2026-01-24T10:00:00Z",
        "message_id": "m-2",
        "event": "e-1",
        "deliveries": 2,
        "published_again": True,
    }
    assert look(TEN, LATER, ids=True).as_json() == expected | {"repeats": [repeat]}
    assert (errors(), publisher.published) == ([], [])


def test_missing_messages_of_closed_hours_are_summed_and_an_open_hour_is_only_shown():
    looked, _ = reconciliation(hour(published=3, rows=1), hour(1, published=4), hour(12, published=9))
    found = looked.look(TEN, LATER).as_json()
    assert (found["missing"], [h["status"] for h in found["hours"]]) == (6, ["missing", "missing", "open"])


def test_a_check_logs_each_closed_hour_that_lacks_messages(errors):
    checked, _ = reconciliation(
        hour(published=3, rows=1),
        hour(1, rows=5),
        hour(2, published=1, rows=1),
        hour(3, topic="pmp-sensor-events", published=7),
        hour(12, published=9),
    )
    assert checked.check(TEN, LATER).missing == 9
    assert errors() == [
        ("messages.missing", {"topic": "pmp-events", "hour": "2026-01-24T10:00:00Z", "missing": 2}),
        ("messages.missing", {"topic": "pmp-sensor-events", "hour": "2026-01-24T13:00:00Z", "missing": 7}),
    ]


def test_a_check_publishes_a_verdict_for_each_topic_even_without_messages():
    checked, publisher = reconciliation(
        hour(published=3, rows=1), hour(1, rows=5), hour(12, published=9), hour(2, topic="foreign", rows=2)
    )
    checked.check(TEN, LATER + HOUR / 2)
    window = {"since": "2026-01-24T10:00:00Z", "until": "2026-01-24T22:00:00Z"}
    silent = {key: {"hours": 0, "missing": 0, "surplus": 0, **window} for key in COUNTED}
    assert published(publisher) == silent | {
        "pmp-events": {"hours": 2, "missing": 2, "surplus": 5, **window},
        "foreign": {"hours": 1, "missing": 0, "surplus": 2, **window},
    }
    assert {topic.id for topic in TOPOLOGY.topics.values()} - set(COUNTED) == {"pmp-ops-events"}


def test_a_check_within_the_open_hour_ends_where_it_began():
    checked, publisher = reconciliation(hour(published=1))
    checked.check(TEN + timedelta(seconds=30), TEN + timedelta(minutes=1))
    for data in published(publisher).values():
        assert (data["hours"], data["since"], data["until"]) == (0, *["2026-01-24T10:00:00Z"] * 2)


def test_a_verdict_that_cannot_be_published_is_still_returned(errors):
    broken = RecordingPublisher(fail_with=PublishFailed("down"))
    checked, _ = reconciliation(hour(published=3), publisher=broken)
    assert checked.check(TEN, LATER).missing == 3
    assert [message for message, _ in errors()] == ["messages.missing", "verdicts.unpublished"]


def test_a_check_without_bigquery_publishes_nothing(errors):
    checked, publisher = reconciliation(fail_with=RetryableError("down"))
    with pytest.raises(RetryableError):
        checked.check(TEN, LATER)
    assert (errors(), publisher.published) == ([], [])
