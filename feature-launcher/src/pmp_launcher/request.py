"""What a caller may ask for, from the body and headers of `POST /runs`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from pmp_schema.features import default_known_at
from pmp_schema.features.runs import Engine, Wanted
from pmp_schema.timestamps import EARLIEST, parse_timestamp
from pmp_schema.topology import SCHEDULE_TIME_HEADER

CLOCK_SLACK: Final = timedelta(minutes=1)


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body; instants as messages may have them.

    Attributes:
        wait: answer when the run has ended.
        provisional: allow a `known_at` for which events may still arrive.
    """

    as_of: str | int | float | None = None
    known_at: str | int | float | None = None
    engine: Engine | None = None
    wait: bool = False
    provisional: bool = False


_REQUEST: Final = msgspec.json.Decoder(RunRequest)


def read_request(
    body: bytes,
    schedule_time: str | None,
    *,
    now: datetime,
    lacking: Mapping[Engine, str],
    default_engine: Engine,
) -> tuple[Wanted, bool]:
    """The run that is wanted, and whether to wait for its end.

    Without `as_of` it is the time of Cloud Scheduler's header, the same at every retry; else now, floored to
    the minute.

    Raises:
        ValueError: the body is not of that form, or asks for what cannot be; the message says which field.
    """
    request = _REQUEST.decode(body or b"{}")
    engine = request.engine or default_engine
    if engine in lacking:
        raise ValueError(f"engine: {engine} has no executor here: {lacking[engine]}")
    settled = default_known_at(now)
    known_at = settled if request.known_at is None else _instant("known_at", request.known_at)
    if known_at > settled and not request.provisional:
        raise ValueError("known_at: later than now minus 1 minute; only with provisional")
    return Wanted(engine=engine, as_of=_as_of(request, schedule_time, now), known_at=known_at), request.wait


def _as_of(request: RunRequest, schedule_time: str | None, now: datetime) -> datetime:
    if request.as_of is not None:
        as_of = _instant("as_of", request.as_of)
    elif schedule_time:
        as_of = _instant(SCHEDULE_TIME_HEADER, schedule_time)
    else:
        return now.replace(second=0, microsecond=0)
    if as_of > now + CLOCK_SLACK:
        raise ValueError("as_of: in the future")
    return as_of


def _instant(name: str, value: str | float) -> datetime:
    try:
        at = parse_timestamp(value).astimezone(UTC)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if at < EARLIEST:
        raise ValueError(f"{name}: before {EARLIEST:%Y-%m-%d}")
    return at
