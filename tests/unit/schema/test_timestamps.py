from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.timestamps import (
    format_timestamp,
    from_micros,
    has_partition,
    live_timestamp,
    parse_age,
    parse_timestamp,
    to_micros,
    try_parse_timestamp,
)

AT = datetime(2025, 10, 18, 16, 24, 11, tzinfo=UTC)
EPOCH_S = int(AT.timestamp())
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (EPOCH_S, AT),
        (float(EPOCH_S), AT),
        (str(EPOCH_S), AT),
        (f" {EPOCH_S}.0 ", AT),
        (EPOCH_S * 1000, AT),
        (str(EPOCH_S * 1000), AT),
        ("2025-10-18T16:24:11Z", AT),
        ("2025-10-18t16:24:11z", AT),
        ("2025-10-18T18:24:11+02:00", AT),
        ("2025-10-18T18:24:11+0200", AT),
        ("2025-10-18T18:24:11+02", AT),
        ("2025-10-18 16:24:11", AT),
        ("2025-10-18 16:24:11 UTC", AT),
        ("2025-10-18T16:24:11", AT),
        ("2026-02-22T09:38:50.7982947+01:00", datetime(2026, 2, 22, 8, 38, 50, 798294, tzinfo=UTC)),
        ("2026-02-22T09:38:50.5Z", datetime(2026, 2, 22, 9, 38, 50, 500000, tzinfo=UTC)),
        ("2026-02-22T09:38:50.123456789Z", datetime(2026, 2, 22, 9, 38, 50, 123456, tzinfo=UTC)),
        ("2026-02-22T09:38Z", datetime(2026, 2, 22, 9, 38, tzinfo=UTC)),
        ("2025-10-18", datetime(2025, 10, 18, tzinfo=UTC)),
        (1760804651.25, datetime(2025, 10, 18, 16, 24, 11, 250000, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("20251018", datetime(1970, 8, 23, 9, 16, 58, tzinfo=UTC)),  # digits alone are seconds
    ],
)
def test_every_way_to_write_a_time_is_read(written, read):
    assert parse_timestamp(written) == read
    assert parse_timestamp(written).tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        True,
        False,
        None,
        [],
        {},
        float("nan"),
        float("inf"),
        -float("inf"),
        2**70,
        -(2**70),
        1e300,
        10**14,
        -(10**14),
        -99_999_999_999,
        "",
        "   ",
        "nan",
        "inf",
        "1_760_804_651",
        "1e9",
        "yesterday",
        "2025-13-01T00:00:00Z",
        "2025-02-30",
        "2025-10-18T25:00:00Z",
        "2025-10-18x16:24:11",
        "2025-W42-6",
        "10000-01-01T00:00:00Z",
        "0000-01-01",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2025-10-18T16:24:11+25:00",
        "٢٠٢٥-10-18",
        "1760804651" * 600,
    ],
)
def test_other_values_are_a_value_error(written):
    with pytest.raises(ValueError):  # noqa: PT011 - datetime words the message in some cases
        parse_timestamp(written)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none(), st.binary()))
def test_any_value_is_an_aware_time_or_refused(value):
    at = try_parse_timestamp(value)
    assert at is None or at.utcoffset() == timedelta(0)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_survives_being_written_as_text_or_microseconds(at):
    assert parse_timestamp(at.isoformat()) == parse_timestamp(format_timestamp(at)) == at
    assert from_micros(to_micros(at)) == at


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("2000-01-01T00:00:00Z", None),
        ("1999-12-31T23:59:59Z", Reason.TIMESTAMP_OUT_OF_RANGE),
        ("2026-01-02T00:00:00Z", None),
        ("2026-01-02T00:00:01Z", Reason.TIMESTAMP_OUT_OF_RANGE),
        ("yesterday", Reason.TIMESTAMP_INVALID),
    ],
)
def test_live_data_lies_between_2000_and_tomorrow(at, reason):
    if reason is None:
        assert live_timestamp(at, NOW) == parse_timestamp(at)
        return
    with pytest.raises(PoisonMessage) as caught:
        live_timestamp(at, NOW)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("written", "minutes"), [("90m", 90), ("1.5h", 90), ("24h", 24 * 60), ("7d", 7 * 24 * 60), ("0m", 0)]
)
def test_an_age_is_a_number_of_minutes_hours_or_days(written, minutes):
    assert parse_age(written) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "written", ["", "90", "h", "-5m", "+5m", "1x", "1.h", ".5h", "1 h", "nanh", "1h30m", "\u0661h"]
)
def test_other_ages_are_refused(written):
    with pytest.raises(ValueError, match="not a duration"):
        parse_age(written)


@pytest.mark.parametrize(
    ("at", "now", "has"),
    [
        (NOW - timedelta(days=3640), NOW, True),
        (NOW - timedelta(days=3640, seconds=1), NOW, False),
        (NOW + timedelta(days=1, seconds=1), NOW, False),
        (datetime(1999, 12, 31, tzinfo=UTC), datetime(2005, 1, 1, tzinfo=UTC), False),
    ],
)
def test_a_partition_is_of_the_last_ten_years(at, now, has):
    assert has_partition(at, now) is has
