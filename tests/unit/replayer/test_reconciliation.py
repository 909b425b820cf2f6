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


def hour(after_h=0, *, topic="pmp-events", published=0, rows=0, dead_letters=0, duplicates=0, edge=0):
    return Hour(
        topic=topic,
        hour=TEN + after_h * HOUR,
        published=published,
        rows=rows,
        dead_letters=dead_letters,
        duplicates=duplicates,
        edge=edge,
    )


class Recorded:
    def __init__(self, *hours, repeats=(), fail_with=None):
        self.asked = []
        self._hours, self._repeats, self._fail_with = list(hours), list(repeats), fail_with

    def hours(self, since):
        self.asked.append(("hours", since))
        if self._fail_with is not None:
            raise self._fail_with
        return [h for h in self._hours if h.hour >= since]

    def repeats(self, since):
        self.asked.append(("repeats", since))
        return self._repeats


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


def reconciliation(*hours, publisher=None, **source):
    publisher = publisher or RecordingPublisher()
    return Reconciliation(Recorded(*hours, **source), publisher, service="pmp-dlq-replayer"), publisher


def announced(publisher):
    """Type, subject and data of what was published."""
    assert {topic for topic, _ in publisher.published} <= {TOPOLOGY.topics["ops-events"].id}
    events = [json.loads(message.data) for _, message in publisher.published]
    assert {event["source"] for event in events} <= {"pmp-dlq-replayer"}
    return [(event["type"], event["subject"], event["data"]) for event in events]


def test_the_hour_before_is_asked_for_and_not_told():
    source = Recorded(hour(-1, rows=4, edge=1), hour(0, published=1))
    found = Reconciliation(source, RecordingPublisher(), service="s").look(TEN + HOUR / 3, LATER)
    assert source.asked == [("hours", TEN - HOUR)]
    assert found.as_json() == {
        "since": "2026-01-24T10:00:00Z",
        "missing": 0,
        "hours": [
            {
                "topic": "pmp-events",
                "hour": "2026-01-24T10:00:00Z",
                "published": 1,
                "rows": 0,
                "dead_letters": 0,
                "duplicates": 0,
                "missing": 0,
                "surplus": 0,
                "status": "ok",
            }
        ],
    }


def test_repeats_are_listed_where_they_are_asked_for():
    looked, _ = reconciliation(hour(rows=1), repeats=[REPEAT])
    assert "repeats" not in looked.look(TEN, LATER).as_json()
    assert looked.look(TEN, LATER, ids=True).as_json()["repeats"] == [
        {
            "topic": "pmp-events",
            "publish_ts": "2026-01-24T10:00:00Z",
            "message_id": "m-2",
            "event": "e-1",
            "deliveries": 2,
            "published_again": True,
        }
    ]


def test_what_closed_hours_miss_is_summed_and_the_open_hour_is_told_only():
    looked, _ = reconciliation(hour(published=3, rows=1), hour(1, published=4), hour(12, published=9))
    found = looked.look(TEN, LATER).as_json()
    assert (found["missing"], [h["status"] for h in found["hours"]]) == (6, ["missing", "missing", "open"])


def test_a_look_leaves_no_trace(errors):
    looked, publisher = reconciliation(hour(published=3))
    looked.look(TEN, LATER)
    assert (errors(), publisher.published) == ([], [])


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


def test_a_check_announces_a_verdict_for_each_topic_a_silent_one_too():
    checked, publisher = reconciliation(
        hour(published=3, rows=1), hour(1, rows=5), hour(12, published=9), hour(2, topic="foreign", rows=2)
    )
    checked.check(TEN, LATER + HOUR / 2)
    window = {"since": "2026-01-24T10:00:00Z", "until": "2026-01-24T22:00:00Z"}
    told = {subject: data for _, subject, data in announced(publisher)}
    assert {kind for kind, _, _ in announced(publisher)} == {"reconciliation.checked"}
    assert told.pop("pmp-events") == {"hours": 2, "missing": 2, "surplus": 5, **window}
    assert told.pop("foreign") == {"hours": 1, "missing": 0, "surplus": 2, **window}
    assert set(told) == {"pmp-station-info", "pmp-sensor-events", "pmp-dead-letters"}
    assert all(data == {"hours": 0, "missing": 0, "surplus": 0, **window} for data in told.values())


def test_operational_events_are_the_topic_that_is_not_counted():
    assert {topic.id for topic in TOPOLOGY.topics.values()} - set(COUNTED) == {"pmp-ops-events"}


def test_a_check_within_the_open_hour_ends_where_it_began():
    checked, publisher = reconciliation(hour(published=1))
    checked.check(TEN + timedelta(seconds=30), TEN + timedelta(minutes=1))
    for _, _, data in announced(publisher):
        assert (data["hours"], data["since"], data["until"]) == (0, *["2026-01-24T10:00:00Z"] * 2)


def test_a_verdict_that_cannot_be_announced_is_still_told(errors):
    broken = RecordingPublisher(fail_with=PublishFailed("down"))
    checked, _ = reconciliation(hour(published=3), publisher=broken)
    assert checked.check(TEN, LATER).missing == 3
    assert [message for message, _ in errors()] == ["messages.missing", "verdicts.unpublished"]


def test_a_check_without_bigquery_announces_nothing(errors):
    checked, publisher = reconciliation(fail_with=RetryableError("down"))
    with pytest.raises(RetryableError):
        checked.check(TEN, LATER)
    assert (errors(), publisher.published) == ([], [])
