from datetime import UTC, datetime, timedelta

import pytest

from pmp_replayer.verdicts import SETTLING, Hour, closed_until, judge

TEN = datetime(2026, 1, 24, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATER = TEN + 12 * HOUR


def hour(after_h=0, *, topic="pmp-events", **numbers):
    return Hour(topic=topic, hour=TEN + after_h * HOUR, **numbers)


def judged(*hours, now=LATER):
    return [(v.missing, v.surplus, str(v.status)) for v in judge(hours, now)]


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ({"published": 5, "rows": 3, "dead_letters": 2}, (0, 0, "ok")),
        ({"published": 5, "rows": 3, "dead_letters": 1}, (1, 0, "missing")),
        ({"published": 5}, (5, 0, "missing")),
        ({"rows": 4}, (0, 4, "surplus")),
        # A publish was repeated because its confirmation was lost: the first one is not counted.
        ({"published": 5, "rows": 7, "duplicates": 2}, (0, 0, "ok")),
        # The same event was published twice and confirmed twice, as by a replay or a restarted sensor.
        ({"published": 7, "rows": 7, "duplicates": 2}, (0, 0, "ok")),
        ({"published": 5, "rows": 9, "duplicates": 3}, (0, 1, "surplus")),
        ({"published": 8, "rows": 7, "duplicates": 2}, (1, 0, "missing")),
    ],
)
def test_an_hour_is_judged_by_what_it_lacks_and_what_is_too_much(numbers, verdict):
    assert judged(hour(**numbers)) == [verdict]


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (TEN + SETTLING - timedelta(microseconds=1), TEN - HOUR),
        (TEN + SETTLING, TEN),
        (TEN + timedelta(minutes=59), TEN),
    ],
)
def test_an_hour_is_open_until_its_messages_had_time_to_arrive(now, until):
    assert closed_until(now) == until
    status = "missing" if until == TEN else "open"
    assert judged(hour(-1, published=1), now=now) == [(1, 0, status)]


@pytest.mark.parametrize(
    ("hours", "verdicts"),
    [
        ([hour(0, rows=3, edge=2), hour(1, published=2)], [(0, 1, "surplus"), (0, 0, "ok")]),
        # More than the edge held is missing in its own hour.
        ([hour(0, rows=9, edge=2), hour(1, published=5)], [(0, 7, "surplus"), (3, 0, "missing")]),
        # An empty hour in between ends the edge.
        ([hour(0, rows=1, edge=1), hour(2, published=1)], [(0, 1, "surplus"), (1, 0, "missing")]),
    ],
)
def test_messages_of_the_last_seconds_may_be_counted_in_the_next_hour(hours, verdicts):
    assert judged(*hours) == verdicts


def test_the_edge_serves_a_busy_topic_at_every_hour_and_hides_no_loss():
    busy = [hour(n, published=published, rows=100, edge=9) for n, published in enumerate((95, 102, 103))]
    assert judged(*busy) == [(0, 0, "ok")] * 3
    lost = [hour(n, published=60, rows=59 if n == 2 else 60, edge=1) for n in range(4)]
    assert judged(*lost) == [(0, 0, "ok"), (0, 0, "ok"), (1, 0, "missing"), (0, 0, "ok")]


def test_topics_do_not_mix():
    given = [hour(1, topic="b", published=1), hour(0, topic="a", rows=1, edge=1)]
    assert [(v.hour.topic, v.missing) for v in judge(given, LATER)] == [("a", 0), ("b", 1)]
