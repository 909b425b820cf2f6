"""Instants as whole microseconds since 1970-01-01, as the state keeps and compares them."""

from datetime import datetime, timedelta
from typing import Final

from pmp_schema.timestamps import EPOCH

_MICROSECOND: Final = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Microseconds of an aware instant."""
    return (at - EPOCH) // _MICROSECOND


def span(duration: timedelta) -> int:
    """Microseconds of a duration."""
    return duration // _MICROSECOND


def instant(at_us: int) -> datetime:
    """The instant of some microseconds, aware UTC."""
    return EPOCH + timedelta(microseconds=at_us)
