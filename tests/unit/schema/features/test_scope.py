from datetime import UTC, date, datetime, timedelta, timezone

from pmp_schema.features import default_known_at, last_closed_date, scope


def test_what_is_known_is_what_no_append_can_change_any_more():
    now = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)
    assert default_known_at(now) == now - timedelta(minutes=1)


def test_a_day_is_closed_a_minute_after_its_end():
    midnight = datetime(2025, 11, 16, tzinfo=UTC)
    minute, tick = timedelta(minutes=1), timedelta(microseconds=1)
    assert last_closed_date(midnight + minute - tick) == date(2025, 11, 14)
    assert last_closed_date(midnight + minute) == date(2025, 11, 15)


def test_days_are_utc_days():
    evening = datetime(2025, 11, 15, 20, tzinfo=timezone(timedelta(hours=-5)))
    assert last_closed_date(evening) == date(2025, 11, 15)


def test_the_first_open_day_follows_the_last_closed_one():
    assert scope.open_from(date(2025, 11, 15)) == date(2025, 11, 16)
    assert scope.open_from(None) == date.min
