"""Ages and times on the command line."""

from datetime import datetime

from pmp_schema.timestamps import parse_since
from pmpctl.errors import CommandError


def begin(since: str, now: datetime) -> datetime:
    """The time that an age (`90m`, `1.5h`, `7d`) or an RFC 3339 time means.

    Raises:
        CommandError: it is neither.
    """
    try:
        return parse_since(since, now)
    except ValueError:
        raise CommandError(f"--since {since}: an age such as 90m, 24h or 7d, or an RFC 3339 time") from None
