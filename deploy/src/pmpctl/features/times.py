"""The times of feature runs: ranges of `as_of`, and until when each run may know events."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from pmp_schema.features import default_known_at
from pmp_schema.timestamps import format_timestamp, parse_age, parse_timestamp
from pmpctl.errors import CommandError

MOST_TIMES: Final = 100_000
_SHORTEST: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAt:
    """The latest ingestion time of events that feature runs may know; without either, there is no limit.

    Attributes:
        at: one time for every run.
        delay: time after the `as_of` of each run.
    """

    at: datetime | None = None
    delay: timedelta | None = None

    @classmethod
    def parse(cls, at: str | None, delay: str | None) -> Self:
        """Reads the options `--known-at` and `--known-at-delay`.

        Raises:
            CommandError: both are given, or one cannot be read.
        """
        if at is not None and delay is not None:
            raise CommandError("give --known-at or --known-at-delay, not both")
        return cls(
            at=None if at is None else parse_time("--known-at", at),
            delay=None if delay is None else parse_duration("--known-at-delay", delay),
        )

    def bound(self, as_of: datetime) -> datetime | None:
        return self.at if self.delay is None else as_of + self.delay

    def allows(self, as_of: datetime, known_at: datetime) -> bool:
        bound = self.bound(as_of)
        return bound is None or known_at <= bound


def parse_time(option: str, text: str) -> datetime:
    """An option's time in UTC.

    Raises:
        CommandError: it is not a time.
    """
    try:
        return parse_timestamp(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise CommandError(f"{option} {text}: must be a time such as 2025-11-16T02:15:00Z") from None


def parse_duration(option: str, text: str) -> timedelta:
    """An option's length of time, a minute or more.

    Raises:
        CommandError: it is not a length of time, or too short.
    """
    try:
        length = parse_age(text)
    except ValueError:
        length = timedelta(0)
    if length < _SHORTEST:
        raise CommandError(f"{option} {text}: must be 1m or more, such as 5m, 2h or 7d")
    return length


def time_range(first: str, last: str, every: str) -> tuple[datetime, ...]:
    """Every `as_of` of the options `--from`, `--to` (included) and `--every`.

    Raises:
        CommandError: an option cannot be read, or the range is empty or has too many times.
    """
    begin, end = parse_time("--from", first), parse_time("--to", last)
    step = parse_duration("--every", every)
    if end < begin:
        raise CommandError(f"--to {last}: must not be before --from {first}")
    number = (end - begin) // step + 1
    if number > MOST_TIMES:
        raise CommandError(f"{number:,} times are too many; at most {MOST_TIMES:,} are possible")
    return tuple(begin + n * step for n in range(number))


def check_settled(times: tuple[datetime, ...], known_at: KnownAt, now: datetime) -> None:
    """Checks that no event can still arrive that the runs may know.

    Raises:
        CommandError: a time or its bound is not yet over.
    """
    if max(times) > now:
        raise CommandError(f"{format_timestamp(max(times))} is in the future")
    bounds = (known_at.bound(as_of) for as_of in times)
    latest = max((bound for bound in bounds if bound is not None), default=None)
    if latest is not None and latest > default_known_at(now):
        raise CommandError(
            f"known at {format_timestamp(latest)}: must be at least 1 minute ago, events may still arrive"
        )
