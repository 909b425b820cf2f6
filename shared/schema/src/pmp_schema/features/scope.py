"""Which events a feature run may use, and which parts of the tables it reads."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

# Longer than the writer's time-out of one append: rows with an earlier ingest_ts are all visible by then.
SETTLED_AFTER: Final = timedelta(minutes=1)
ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one feature run reads.

    Attributes:
        as_of: end of every window, UTC.
        known_at: events ingested later are ignored.
        open_from: first ingest date that is read from raw_events and not from station_daily_counts.
        late_dates: event dates before `first_date` that have rows ingested on `open_from` or later.
        first_date: oldest event date that is read for the bounded windows.
    """

    as_of: datetime
    known_at: datetime
    open_from: date
    late_dates: tuple[date, ...]
    first_date: date


def default_known_at(now: datetime) -> datetime:
    """The latest `known_at` for which the same run always gives the same rows."""
    return now - SETTLED_AFTER


def last_closed_date(now: datetime) -> date:
    """The last ingest date (UTC) that station_daily_counts may take: it is complete."""
    return default_known_at(now).astimezone(UTC).date() - ONE_DAY


def open_from(closed_through: date | None) -> date:
    """The first open ingest date, from the last one that station_daily_counts holds (None where it is empty)."""
    return date.min if closed_through is None else closed_through + ONE_DAY


def end_of(day: date) -> datetime:
    """The last microsecond of a UTC day."""
    return datetime.combine(day, datetime.max.time(), UTC)
