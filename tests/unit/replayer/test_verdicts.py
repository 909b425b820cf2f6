from datetime import UTC, datetime, timedelta

import pytest

from pmp_replayer.verdicts import SETTLING, Hour, closed_until, judge

TEN = datetime(2026, 1, 24, 10, tzinfo=UTC)
LATER = TEN + timedelta(hours=12)


def hour(after_h=0, *, topic="pmp-events", published=0, rows=0, dead_letters=0, duplicates=0, edge=0):
    return Hour(
        topic=topic,
        hour=TEN + timedelta(hours=after_h),
        published=published,
        rows=rows,
        dead_letters=dead_letters,
        duplicates=duplicates,
        edge=edge,
    )


def judged(*hours, now=LATER):
    return [(v.missing, v.surplus, str(v.status)) for v in judge(hours, now)]


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ({"published": 5, "rows": 3, "dead_letters": 2}, (0, 0, "ok")),
        ({"published": 5, "rows": 3, "dead_letters": 1}, (1, 0, "missing")),
        ({"published": 5}, (5, 0, "missing")),
        ({"rows": 4}, (0, 4, "surplus")),
        # A publish that was repeated because its confirmation was lost: the first one is not counted.
        ({"published": 5, "rows": 7, "duplicates": 2}, (0, 0, "ok")),
        # The same event published twice and confirmed twice, as a replay or a restarted sensor does.
        ({"published": 7, "rows": 7, "duplicates": 2}, (0, 0, "ok")),
        ({"published": 5, "rows": 9, "duplicates": 3}, (0, 1, "surplus")),
        ({"published": 8, "rows": 7, "duplicates": 2}, (1, 0, "missing")),
    ],
)
def test_an_hour_is_judged_by_what_it_lacks_and_what_is_too_much(numbers, verdict):
    assert judged(hour(**numbers)) == [verdict]


def test_an_hour_is_open_until_its_messages_had_time_to_arrive():
    late = hour(published=1)
    end = TEN + timedelta(hours=1)
    assert judged(late, now=end + SETTLING - timedelta(seconds=1)) == [(1, 0, "open")]
    assert judged(late, now=end + SETTLING) == [(1, 0, "missing")]


def test_messages_of_the_last_seconds_may_be_counted_in_the_next_hour():
    assert judged(hour(0, rows=3, edge=2), hour(1, published=2)) == [(0, 1, "surplus"), (0, 0, "ok")]


def test_a_busy_topic_is_counted_late_at_every_hour():
    assert (
        judged(
            hour(0, published=95, rows=100, edge=9),
            hour(1, published=102, rows=100, edge=9),
            hour(2, published=103, rows=100, edge=9),
        )
        == [(0, 0, "ok")] * 3
    )


def test_more_than_the_last_seconds_held_is_missing_in_its_own_hour():
    assert judged(hour(0, rows=9, edge=2), hour(1, published=5)) == [(0, 7, "surplus"), (3, 0, "missing")]


def test_a_steady_poll_at_the_edge_hides_no_loss():
    lost = [hour(h, published=60, rows=59 if h == 2 else 60, edge=1) for h in range(4)]
    assert judged(*lost) == [(0, 0, "ok"), (0, 0, "ok"), (1, 0, "missing"), (0, 0, "ok")]


def test_an_hour_without_anything_in_it_ends_the_edge():
    assert judged(hour(0, rows=1, edge=1), hour(2, published=1)) == [(0, 1, "surplus"), (1, 0, "missing")]


def test_topics_do_not_mix():
    given = [hour(1, topic="b", published=1), hour(0, topic="a", rows=1, edge=1)]
    assert [(v.hour.topic, v.missing) for v in judge(given, LATER)] == [("a", 0), ("b", 1)]


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (TEN + SETTLING - timedelta(microseconds=1), TEN - timedelta(hours=1)),
        (TEN + SETTLING, TEN),
        (TEN + timedelta(minutes=59), TEN),
    ],
)
def test_what_is_closed_ends_with_the_last_hour_that_had_time_to_settle(now, until):
    assert closed_until(now) == until
