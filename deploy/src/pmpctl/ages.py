"""Ages and times on the command line."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from pmpctl.errors import CommandError

_AGE: Final = re.compile(r"(\d{1,6}(?:\.\d+)?)([mhd])", re.ASCII)
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def begin(since: str, now: datetime) -> datetime:
    """The time that an age (`90m`, `24h`, `7d`) or an RFC 3339 time means.

    Raises:
        CommandError: it is neither.
    """
    age = _AGE.fullmatch(since)
    try:
        if age:
            return now - float(age[1]) * _UNITS[age[2]]
        at = datetime.fromisoformat(since)
    except (ValueError, OverflowError):
        raise CommandError(f"--since {since}: an age such as 90m, 24h or 7d, or an RFC 3339 time") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
