"""Points in time as feeds, sensors and people write them, read into aware UTC datetimes; ages as people write them.

One rule for every message: what cannot be read is a `ValueError`, what can be read but cannot be true is
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


def parse_age(text: str) -> timedelta:
    """Read an age or another length of time: `90m`, `1.5h`, `7d`; it may be zero.

    Raises:
        ValueError: anything else, a sign among it.
    """
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError("the text is no length of time")
    return float(match[1]) * _UNITS[match[2]]


def parse_since(text: str, now: datetime) -> datetime:
    """Read when something begins: an age, counted back from now, or an instant.

    Raises:
        ValueError: it is neither, or before the calendar.
    """
    try:
        age = parse_age(text)
    except ValueError:
        return parse_instant(text)
    try:
        return now - age
    except OverflowError as error:
        raise ValueError("the age is longer than the calendar") from error


def parse_instant(value: object) -> datetime:
    """Read one instant.

    Accepted: epoch seconds as int, float or text (from 1e11 on, epoch milliseconds); RFC 3339 with `T`,
    `t` or a space, `Z` or an offset, any number of fractional digits (cut to microseconds); BigQuery's
    `2025-10-18 16:24:11 UTC`; a bare date. Text without an offset is UTC. Digits alone are seconds, never
    a compact date.

    Raises:
        ValueError: anything else, among it booleans, NaN, infinities, years below 1 or above 9999.
    """
    if isinstance(value, str):
        text = value.strip()
        return _from_number(float(text)) if _NUMBER.fullmatch(text) else _from_iso(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    raise ValueError("an instant is a number or a text")


def _from_number(number: float) -> datetime:
    # Written so that NaN, which compares false with everything, fails too.
    if not abs(number) < _FIRST_ABSURD:
        raise ValueError("the number is no point in time")
    if abs(number) >= _FIRST_MILLISECONDS:
        number /= 1000
    try:
        return EPOCH + timedelta(seconds=number)
    except OverflowError as error:
        raise ValueError("the number is outside of the calendar") from error


def _from_iso(text: str) -> datetime:
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError("the text is no RFC 3339 date or time")
    day, clock, offset = match.groups()
    if offset in {None, "z", "UTC"}:
        offset = "Z"
    try:
        return datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset}").astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is outside of the calendar") from error


def in_range(at: datetime, now: datetime) -> bool:
    """Whether an instant can belong to live data: from 2000-01-01 to one day after now."""
    return EARLIEST <= at <= now + FUTURE_SLACK


def check_range(at: datetime, now: datetime) -> None:
    """Refuse an instant that cannot belong to live data.

    Raises:
        PoisonMessage: `timestamp_out_of_range`; outside of [2000-01-01, now + 1 day].
    """
    if not in_range(at, now):
        raise PoisonMessage(
            Reason.TIMESTAMP_OUT_OF_RANGE, f"{at.isoformat()} is outside of 2000 to now + 1 day"
        )


def has_partition(at: datetime, now: datetime) -> bool:
    """Whether a row can be appended to the partition of an instant: of the last ten years, and in range."""
    return in_range(at, now) and at >= now - WRITABLE
