"""Throughput of the curation core: `python -m tests.bench.curation [DAY]`.

Station observations per second of processor time, with everything from the body's bytes to rows, on the newest real
Vélib capture. Without one, on the simulated city. The general way of reading a body runs in turn with the fast one,
so that a busy machine slows both. With DAY it also runs a simulated day and prints its recall.
"""

import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from pmp_curation.core import Snapshot, SystemState, curate, readings
from pmp_curation.core.observation import observe_any
from pmp_simulator import velib
from pmp_simulator.city import City
from pmp_simulator.heartbeat import Heartbeat
from tests.integration.beam.simulated_day import SimulatedDay
from tests.unit.curation.core.system import snapshot

REPOSITORY = Path(__file__).parents[2]
CAPTURES = Path(os.environ.get("REAL_FEEDS_DIR") or REPOSITORY.parent / "shared" / "data" / "gbfs")
RUNS = 9
POLLS = 30
CHANGED_SHARE = 0.02


def capture() -> bytes:
    found = sorted(CAPTURES.glob("velib_paris/*/*/station_status.json"))
    if found:
        return found[-1].read_bytes()
    start = datetime(2026, 3, 10, 7, tzinfo=UTC)
    return velib.station_status(
        City(seed=1, start_at=start), Heartbeat(seed=1, start_at=start, stations=1400)
    )


def minutes(body: bytes) -> list[Snapshot]:
    """A poll a minute: each time 2 % of the stations have another count."""
    rng = random.Random(1)
    document = msgspec.json.decode(body)
    stations = document["data"]["stations"]
    first_s = document["lastUpdatedOther"]
    series = []
    for minute in range(POLLS):
        document["lastUpdatedOther"] = first_s + 60 * minute
        series.append(snapshot(msgspec.json.encode(document)))
        for station in rng.sample(stations, round(CHANGED_SHARE * len(stations))):
            ride(station, rng)
    return series


def ride(station: dict[str, Any], rng: random.Random) -> None:
    gained = rng.choice((-1, 1)) if station["num_bikes_available"] else 1
    bikes = station["num_bikes_available"] + gained
    docks = max(0, station["num_docks_available"] - gained)
    mechanical = max(0, station["num_bikes_available_types"][0]["mechanical"] + gained)
    station |= {"num_bikes_available": bikes, "numBikesAvailable": bikes}
    station |= {"num_docks_available": docks, "numDocksAvailable": docks}
    station["num_bikes_available_types"] = [{"mechanical": mechanical}, {"ebike": bikes - mechanical}]


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def series_of(series: list[Snapshot], state: SystemState) -> None:
    for taken in series:
        state = curate(state, taken).state


def first(taken: Snapshot) -> SystemState:
    readings.read.cache_clear()
    return curate(None, taken).state


def bench() -> None:
    series = minutes(capture())
    state = first(series[0])
    stations = len(state.stations)
    work: dict[str, tuple[int, Callable[[], object]]] = {
        "reading by the general way": (1, lambda: observe_any(series[1].payload, series[1].ingest_ts)),
        "first poll, everything new": (1, lambda: first(series[0])),
        f"steady state, {CHANGED_SHARE:.0%} changed": (POLLS - 1, lambda: series_of(series[1:], state)),
        "the same with the state's bytes": (POLLS - 1, lambda: through_bytes(series[1:], state)),
    }
    rates: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(RUNS):
        for name, (polls, run) in work.items():
            rates[name].append(stations * polls / seconds(run))
    base = rates["reading by the general way"]
    print(
        f"{stations} stations, {len(series[0].payload):,} bytes a body, state of {len(state.encode()):,} bytes"
    )
    print(f"median of {RUNS} alternating runs, station observations per second of processor time")
    for name, found in rates.items():
        ratio = statistics.median(rate / general for rate, general in zip(found, base, strict=True))
        print(f"{name:32} {statistics.median(found):>10,.0f}/s  best {max(found):>10,.0f}/s  x{ratio:.2f}")


def through_bytes(series: list[Snapshot], state: SystemState) -> None:
    data = state.encode()
    for taken in series:
        data = curate(SystemState.decode(data), taken).state.encode()


def simulated_day() -> None:
    day = SimulatedDay(seed=8)
    day.run(timedelta(days=1))
    exact = day.derived_net_changes() == day.true_net_changes()
    print(f"simulated day: {day.report()}; every net change exact: {exact}")


if __name__ == "__main__":
    bench()
    if "DAY" in sys.argv[1:]:
        simulated_day()
