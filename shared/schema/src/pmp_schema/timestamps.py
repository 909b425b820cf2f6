"""Parses and formats times: aware UTC datetimes from what feeds, sensors and people write, and back.

Text or a number that is not a time raises `ValueError`. A time that can be read but cannot be true is
`timestamp_out_of_range`.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from pmp_schema.errors import PoisonMessage, Reason

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
FUTURE_SLACK: Final = timedelta(days=1)
# The Storage Write API takes rows for partitions of the last ten years only; a message may wait some days for it.
# https://cloud.google.com/bigquery/docs/write-api#time-unit_column_partitioning
WRITABLE: Final = timedelta(days=3640)

# 1e11 seconds is the year 5138 and 1e11 milliseconds is March 1973: no clock in use confuses the two.
_FIRST_MILLISECONDS: Final = 10**11
_FIRST_ABSURD: Final = 10**14

_NUMBER: Final = re.compile(r"[+-]?\d{1,15}(\.\d+)?", re.ASCII)
_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?) ?([Zz]|UTC|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)

_AGE: Final = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)([mhd])", re.ASCII)
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


_MICROSECOND: Final = timedelta(microseconds=1)


def parse_age(text: str) -> timedelta:
    """Reads an age or another duration: `90m`, `1.5h`, `7d`. It may be zero, but has no sign.

    Raises:
        ValueError: the text is not a duration.
    """
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError("the text is not a duration such as 90m, 24h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def parse_since(text: str, now: datetime) -> datetime:
    """Reads a start time: an age, counted back from now, or a timestamp.

    Raises:
        ValueError: the text is neither, or the age reaches back before the year 1.
    """
    try:
        age = parse_age(text)
    except ValueError:
        return parse_timestamp(text)
    try:
        return now - age
    except OverflowError as error:
        raise ValueError("the age reaches back before the year 1") from error


def parse_timestamp(value: object) -> datetime:
    """Reads one time.

    Accepted: epoch seconds as int, float or text (from 1e11 on, epoch milliseconds); RFC 3339 with `T`,
    `t` or a space, `Z` or an offset, any number of fractional digits (cut to microseconds); BigQuery's
    `2025-10-18 16:24:11 UTC`; a bare date. Text without an offset is UTC. Digits alone are seconds, never
    a compact date.

    Raises:
        ValueError: anything else; also for booleans, NaN, infinities, and years below 1 or above 9999.
    """
    if isinstance(value, str):
        text = value.strip()
        return _from_number(float(text)) if _NUMBER.fullmatch(text) else _from_iso(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    raise ValueError("a timestamp is a number or a string")


def _from_number(number: float) -> datetime:
    # Written so that NaN, which compares false with everything, fails too.
    if not abs(number) < _FIRST_ABSURD:
        raise ValueError("the number is not a timestamp")
    if abs(number) >= _FIRST_MILLISECONDS:
        number /= 1000
    try:
        return EPOCH + timedelta(seconds=number)
    except OverflowError as error:
        raise ValueError("the number is outside the years 1 to 9999") from error


def _from_iso(text: str) -> datetime:
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError("the text is not an RFC 3339 date or time")
    day, clock, offset = match.groups()
    if offset in {None, "z", "UTC"}:
        offset = "Z"
    try:
        return datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset}").astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is outside the years 1 to 9999") from error


def try_parse_timestamp(value: object) -> datetime | None:
    """Like `parse_timestamp`; None for what it refuses."""
    try:
        return parse_timestamp(value)
    except ValueError:
        return None


def live_timestamp(text: str, now: datetime) -> datetime:
    """Reads a time of live data: from 2000-01-01 to one day after now.

    Raises:
        PoisonMessage: `timestamp_invalid` or `timestamp_out_of_range`.
    """
    try:
        at = parse_timestamp(text)
    except ValueError as error:
        raise PoisonMessage(Reason.TIMESTAMP_INVALID, str(error)) from error
    if not in_range(at, now):
        raise PoisonMessage(
            Reason.TIMESTAMP_OUT_OF_RANGE, f"{at.isoformat()} is outside of 2000 to now + 1 day"
        )
    return at


def format_timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, with microseconds only where they are not zero."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def to_micros(at: datetime) -> int:
    """Microseconds from 1970-01-01 to an aware time."""
    return (at - EPOCH) // _MICROSECOND


def from_micros(at_us: int) -> datetime:
    """The time, aware UTC, that lies so many microseconds after 1970-01-01."""
    return EPOCH + timedelta(microseconds=at_us)


def duration_micros(duration: timedelta) -> int:
    return duration // _MICROSECOND


def in_range(at: datetime, now: datetime) -> bool:
    """Whether a time can belong to live data: from 2000-01-01 to one day after now."""
    return EARLIEST <= at <= now + FUTURE_SLACK


def has_partition(at: datetime, now: datetime) -> bool:
    """Whether BigQuery accepts rows for the day of a time: within the last ten years, and in range."""
    return in_range(at, now) and at >= now - WRITABLE
