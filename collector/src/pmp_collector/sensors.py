"""Sensors that nobody installed: seeded pickups and dropoffs, and the pace at which they come."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, repeat
from random import Random
from typing import Any, Final, Protocol

_FIRST_NUMBER: Final = 90001
_DELTAS: Final = {1: 90, 2: 8, 3: 2}
_PRINTED_FIELDS: Final = ("event_id", "station_id", "ts_iso", "kind", "delta")
_SHORTEST_SLEEP_S: Final = 0.002


class Pace(Protocol):
    """How events follow each other."""

    def gaps(self) -> Iterator[float]:
        """Seconds before each event but the first; without end, and the same at every call."""
        ...


@dataclass(frozen=True, slots=True)
class Sparse:
    """A sensor now and then: a second or two from event to event."""

    seed: int

    def gaps(self) -> Iterator[float]:
        rng = _seeded("gaps", self.seed)
        while True:
            yield rng.uniform(1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Steady:
    """A continuous stream of `rate_per_s` events a second."""

    rate_per_s: float

    def __post_init__(self) -> None:
        if self.rate_per_s <= 0:
            raise ValueError(f"rate_per_s is {self.rate_per_s}: it must be above zero")

    def gaps(self) -> Iterator[float]:
        return repeat(1.0 / self.rate_per_s)


def sensor_events(
    *,
    run: str,
    stations: int,
    seed: int,
    start_at: datetime,
    pace: Pace,
    city_id: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Sensor events without end, as they are published.

    Args:
        run: goes into every id, so that no id comes twice.
        stations: how many report: `A_101`, `A_205`, `A_310`, ...
        seed: same seed, same events.
        start_at: time of the first event, aware.
        pace: gives the times of the others.
        city_id: added to each event where given.

    Yields:
        `event_id`, `station_id`, `ts_iso` (to the second), `kind`, `delta`, `source` and perhaps `city_id`.
    """
    if stations < 1:
        raise ValueError(f"stations is {stations}: it must be above zero")
    rng = _seeded("sensors", seed)
    extra = {"source": "simulator"} | ({"city_id": city_id} if city_id else {})
    gaps = pace.gaps()
    offset_s = 0.0
    for number in count(_FIRST_NUMBER):
        at = start_at + timedelta(seconds=offset_s)
        yield {
            "event_id": f"e-{run}-{number}",
            "station_id": station_id(rng.randrange(stations)),
            "ts_iso": at.isoformat(timespec="seconds"),
            "kind": rng.choice(("pickup", "dropoff")),
            "delta": rng.choices(tuple(_DELTAS), tuple(_DELTAS.values()))[0],
            **extra,
        }
        offset_s += next(gaps)


def station_id(index: int) -> str:
    """`A_101`, `A_205`, `A_310`, then on by the same growing steps."""
    return f"A_{101 + 104 * index + index * (index - 1) // 2}"


def printed(event: dict[str, Any]) -> str:
    """The line shown for a published event: its five sensor fields."""
    return f"Published: { {field: event[field] for field in _PRINTED_FIELDS} }"


def paced(
    events: Iterable[dict[str, Any]],
    pace: Pace,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[dict[str, Any]]:
    """Hand on each event when it is due; a consumer that fell behind gets the next ones at once."""
    gaps = pace.gaps()
    due_s = monotonic()
    for event in events:
        wait_s = due_s - monotonic()
        if wait_s > _SHORTEST_SLEEP_S:
            sleep(wait_s)
        yield event
        due_s += next(gaps)


def _seeded(purpose: str, seed: int) -> Random:
    return Random(f"{purpose}/{seed}")  # noqa: S311 - a simulation, not a secret
