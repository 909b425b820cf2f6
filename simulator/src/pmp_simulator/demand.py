"""The number of rides and the direction of the commute, by local hour."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

PARIS: Final = ZoneInfo("Europe/Paris")

# Rides in each local hour; only the ratios count.
_WORKDAY: Final = (
    *(0.35, 0.20, 0.12, 0.08, 0.08, 0.20, 0.50, 1.20, 2.40, 1.90, 1.00, 0.95),
    *(1.20, 1.20, 1.05, 1.10, 1.30, 1.90, 2.40, 2.00, 1.35, 1.00, 0.80, 0.60),
)
_WEEKEND: Final = (
    *(0.80, 0.60, 0.50, 0.35, 0.25, 0.20, 0.20, 0.30, 0.50, 0.75, 1.00, 1.25),
    *(1.35, 1.40, 1.55, 1.70, 1.75, 1.70, 1.60, 1.40, 1.15, 0.95, 0.85, 0.80),
)
_WORKDAY_MEAN: Final = sum(_WORKDAY) / 24
_WEEKEND_MEAN: Final = sum(_WEEKEND) / 24
_WEEKEND_SHARE: Final = 0.85  # of a workday's rides
# +1: everybody rides from home to work; -1: back. The evening is weaker, as it has more rides.
_TIDE: Final = {6: 0.5, 7: 1.0, 8: 1.0, 9: 1.0, 10: 0.5, 16: -0.4, 17: -0.82, 18: -0.82, 19: -0.82, 20: -0.4}


def intensity(at: datetime) -> float:
    """Rides at this instant relative to the mean of a workday."""
    local = at.astimezone(PARIS)
    if _is_weekend(local):
        return _WEEKEND_SHARE * _WEEKEND[local.hour] / _WEEKEND_MEAN
    return _WORKDAY[local.hour] / _WORKDAY_MEAN


PEAK_INTENSITY: Final = max(_WORKDAY) / _WORKDAY_MEAN


def tide(at: datetime) -> float:
    """The commute's direction: 1 to the offices, -1 to the homes, 0 neither."""
    local = at.astimezone(PARIS)
    return 0.0 if _is_weekend(local) else _TIDE.get(local.hour, 0.0)


def bikes_at_home(at: datetime) -> float:
    """Where the commute has left the bikes: 1 at the homes (night), -1 at the offices (noon)."""
    local = at.astimezone(PARIS)
    if _is_weekend(local):
        return 1.0
    morning = sum(_WORKDAY[hour] * flow for hour, flow in _TIDE.items() if flow > 0)
    so_far = sum(_WORKDAY[hour] * flow for hour, flow in _TIDE.items() if hour < local.hour)
    return max(-1.0, min(1.0, 1.0 - 2.0 * so_far / morning))


def _is_weekend(local: datetime) -> bool:
    return local.weekday() >= 5
