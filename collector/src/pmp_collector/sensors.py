"""Simulated sensor events: seeded pickups and dropoffs, and their pace."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Final

_FIRST_NUMBER: Final = 90001
_DELTAS: Final = {1: 90, 2: 8, 3: 2}
_PRINTED_FIELDS: Final = ("event_id", "station_id", "ts_iso", "kind", "delta")
_SHORTEST_SLEEP_S: Final = 0.002


def event_gaps(rate_per_s: float | None, seed: int) -> Iterator[float]:
    """Seconds from event to event, endless; without a rate, one or two seconds each, by the seed."""
    rng = _seeded("gaps", seed)
    while True:
        yield rng.uniform(1.0, 2.0) if rate_per_s is None else 1.0 / rate_per_s


def sensor_events(
    *,
    run: str,
    stations: int,
    seed: int,
    start_at: datetime,
    gaps: Iterator[float],
    city_id: str | None = None,
) -> Iterator[dict[str, Any]]:
    """An endless stream of sensor events, as they are published.

    Args:
        run: part of every id, so that ids never repeat.
        stations: number of stations: `A_101`, `A_205`, `A_310`, ...
        seed: same seed, same events.
        start_at: time of the first event, aware.
        gaps: seconds to each further event.
        city_id: added to each event if given.

    Yields:
        `event_id`, `station_id`, `ts_iso` (to the second), `kind`, `delta`, `source` and, if given, `city_id`.
    """
    if stations < 1:
        raise ValueError(f"stations is {stations}: it must be above zero")
    rng = _seeded("sensors", seed)
    extra = {"source": "simulator"} | ({"city_id": city_id} if city_id else {})
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
    """`A_101`, `A_205`, `A_310`, and so on; the step grows by one."""
    return f"A_{101 + 104 * index + index * (index - 1) // 2}"


def printed(event: dict[str, Any]) -> str:
    """The line shown for a published event: its five sensor fields."""
    return f"Published: { {field: event[field] for field in _PRINTED_FIELDS} }"


def paced(
    events: Iterable[dict[str, Any]],
    gaps: Iterator[float],
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[dict[str, Any]]:
    """Yields each event when it is due; a consumer that fell behind gets the next ones at once."""
    due_s = monotonic()
    for event in events:
        wait_s = due_s - monotonic()
        if wait_s > _SHORTEST_SLEEP_S:
            sleep(wait_s)
        yield event
        due_s += next(gaps)


def _seeded(purpose: str, seed: int) -> Random:
    return Random(f"{purpose}/{seed}")  # noqa: S311 - a simulation, not a secret
