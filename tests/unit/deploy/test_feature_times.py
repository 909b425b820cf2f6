from datetime import UTC, datetime, timedelta

import pytest

from pmpctl.errors import CommandError
from pmpctl.features.times import KnownAt, check_settled, parse_duration, time_range

AT = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_a_range_takes_in_both_of_its_ends():
    times = time_range("2025-11-16T01:15:00Z", "2025-11-16T03:15+01:00", "30m")
    assert times == (AT - 60 * MINUTE, AT - 30 * MINUTE, AT)


def test_a_range_ends_before_an_end_that_the_steps_do_not_meet():
    assert time_range("2025-11-16 02:15", "2025-11-16 03:14:59", "1h") == (AT,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("2025-11-16", "yesterday", "1d"), "--to yesterday: must be a time such as"),
        (("2025-11-16", "2025-11-15", "1d"), "--to 2025-11-15: must not be before --from 2025-11-16"),
        (("2025-11-16", "2025-11-17", "0m"), "--every 0m: must be 1m or more"),
        (("2025-11-16", "2025-11-17", "0.9m"), "--every 0.9m: must be 1m or more"),
        (("2025-11-16", "2025-11-17", "30"), "--every 30: must be 1m or more"),
        (("2000-01-01", "2025-01-01", "1m"), r"13,150,081 times are too many; at most 100,000"),
    ],
)
def test_what_is_no_range_is_refused(options, said):
    with pytest.raises(CommandError, match=said):
        time_range(*options)


def test_durations_are_minutes_hours_and_days():
    assert [parse_duration("--every", text) for text in ("5m", "1.5h", "7d")] == [
        5 * MINUTE,
        90 * MINUTE,
        timedelta(days=7),
    ]


def test_what_may_be_known_is_a_time_or_follows_each_as_of():
    assert KnownAt.parse(None, None).bound(AT) is None
    assert KnownAt.parse("2025-11-20", None).bound(AT) == datetime(2025, 11, 20, tzinfo=UTC)
    assert KnownAt.parse(None, "5m").bound(AT) == AT + 5 * MINUTE
    with pytest.raises(CommandError, match="not both"):
        KnownAt.parse("2025-11-20", "5m")


def test_what_was_known_at_the_bound_is_allowed_and_a_microsecond_later_is_not():
    known_at = KnownAt(delay=5 * MINUTE)
    assert known_at.allows(AT, AT + 5 * MINUTE)
    assert not known_at.allows(AT, AT + 5 * MINUTE + timedelta(microseconds=1))
    assert KnownAt().allows(AT, datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("known_at", "now", "said"),
    [
        (KnownAt(), AT - MINUTE, "2025-11-16T02:15:00Z is in the future"),
        (
            KnownAt(delay=5 * MINUTE),
            AT + 5 * MINUTE,
            "known at 2025-11-16T02:20:00Z: must be at least 1 minute ago",
        ),
        (
            KnownAt(at=AT + MINUTE),
            AT + MINUTE,
            "known at 2025-11-16T02:16:00Z: must be at least 1 minute ago",
        ),
    ],
)
def test_what_can_still_change_is_not_computed(known_at, now, said):
    with pytest.raises(CommandError, match=said):
        check_settled((AT - MINUTE, AT), known_at, now)


def test_what_is_settled_for_a_minute_is_computed():
    check_settled((AT - MINUTE, AT), KnownAt(delay=5 * MINUTE), AT + 6 * MINUTE)
    check_settled((AT,), KnownAt(), AT)
