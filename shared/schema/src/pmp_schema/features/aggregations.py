"""How features count: each aggregation in words and with the time slots that it reads.

Its SQL is `sql/aggregations/<name>.sql`. Counts are numbers of events; only `bikes` and `net_bikes` add up `delta`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

HOUR: Final = timedelta(hours=1)
WEEK: Final = timedelta(weeks=1)

# A rider takes one bike, a family takes some; five at once are probably moved by a van.
LARGE_DELTA: Final = 5
PEAK_MIN_EVENTS: Final = 10
BASELINE_WEEKS: Final = 4


@dataclass(frozen=True, slots=True)
class Slot:
    """The events with `as_of - older < ts_iso <= as_of - newer`."""

    older: timedelta
    newer: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Reach:
    """The slots that an aggregation reads.

    Attributes:
        current: slots that are counted as they are.
        baseline: slots of equal width whose mean is the usual value.
    """

    current: tuple[Slot, ...] = ()
    baseline: tuple[Slot, ...] = ()

    @property
    def look_back(self) -> timedelta:
        """From `as_of` to the oldest end of any slot."""
        return max((slot.older for slot in self.current + self.baseline), default=timedelta(0))


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One way to count.

    Attributes:
        definition: the result for a window w, in words.
        reach: the slots of a window by its length; None where it counts all time.
    """

    name: str
    definition: str
    reach: Callable[[timedelta], Reach] | None


def _window(length: timedelta) -> Reach:
    return Reach(current=(Slot(length),))


def _lagged(lag: timedelta) -> Reach:
    return Reach(current=(Slot(lag + HOUR, lag),))


def _weekly(width: timedelta, weeks: int) -> tuple[Slot, ...]:
    return tuple(Slot(k * WEEK + width, k * WEEK) for k in range(1, weeks + 1))


def _same_hours(length: timedelta) -> Reach:
    return Reach(baseline=_weekly(HOUR, length // WEEK))


def _against_baseline(length: timedelta) -> Reach:
    return Reach(current=(Slot(length),), baseline=_weekly(length, BASELINE_WEEKS))


_ALL: Final = (
    Aggregation("events", "Number of events of the kind in the window.", _window),
    Aggregation("bikes", "Sum of `delta` of the events of the kind in the window.", _window),
    Aggregation(
        "net_bikes", "Sum of `delta` of the dropoffs in the window minus that of the pickups.", _window
    ),
    Aggregation(
        "mean_delta",
        "Sum of `delta` divided by the number of events of the kind in the window; no row without one.",
        _window,
    ),
    Aggregation(
        "max_delta", "Largest `delta` of an event of the kind in the window; no row without one.", _window
    ),
    Aggregation(
        "large_events",
        f"Number of events of the kind in the window with a `delta` of {LARGE_DELTA} or more.",
        _window,
    ),
    Aggregation(
        "minutes_since_last",
        "Minutes, with their fraction, from the last event of the kind in the window to `as_of`; "
        "no row without one.",
        _window,
    ),
    Aggregation(
        "lagged_events",
        "Number of events of the kind in the hour that ends at `as_of - w`: "
        "the window names the lag, the slot is always 1 h wide.",
        _lagged,
    ),
    Aggregation(
        "weekly_mean",
        "Number of events of the kind in the hours that end at `as_of - 7 d * k`, for each whole week k of the "
        "window, divided by the number of those weeks. Weeks without data count as 0.",
        _same_hours,
    ),
    Aggregation(
        "demand_z",
        "`(n - b) / sqrt(b + 1)`: n is the number of events of the kind in the window, b the mean of that number "
        f"in the {BASELINE_WEEKS} windows that end at `as_of - 7 d * k`, k = 1 to {BASELINE_WEEKS}.",
        _against_baseline,
    ),
    Aggregation(
        "city_share",
        "Number of events of the kind in the window divided by that of all stations of the city; "
        "no row where the city has none.",
        _window,
    ),
    Aggregation("all_time_events", "Number of events of the kind up to `as_of`.", None),
    Aggregation(
        "peak_station",
        f"1 if the station has {PEAK_MIN_EVENTS} or more events of the kind up to `as_of` and fewer than a tenth of "
        "the city's stations that have any have more than it (equal stations share their rank), else 0. Silent "
        "stations are ranked too, though they get no row.",
        None,
    ),
)

AGGREGATIONS: Final = {aggregation.name: aggregation for aggregation in _ALL}
