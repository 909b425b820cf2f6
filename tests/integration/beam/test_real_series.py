"""Real series through the curation: in order, with duplicates and a blip, and out of order.

REAL_FEEDS_DIR names the folder of captures; the default is a `shared/data/gbfs` beside the repository. Their
licences forbid copies, so they are never part of it. What is expected is taken from the bodies with the standard
library, not with the code under test.
"""

import gzip
import json
import os
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import msgspec
import pytest

from pmp_curation.core import Snapshot, SystemState
from tests.unit.curation.core.system import System, snapshot

REPOSITORY = Path(__file__).parents[3]
CAPTURES = Path(os.environ.get("REAL_FEEDS_DIR") or REPOSITORY.parent / "shared" / "data" / "gbfs")
OSLO, BAY_WHEELS = "oslo_bysykkel_v23_7d", "baywheels_sf_v1_30h"
BLIP = CAPTURES / "odd" / "empty_stations_blip_boulder_v1.1"
HEARTBEAT_S = 3600

pytestmark = pytest.mark.skipif(
    not (CAPTURES / "timeseries").is_dir(),
    reason=f"no real captures: set REAL_FEEDS_DIR ({CAPTURES} has no folder timeseries)",
)
both = pytest.mark.parametrize("name", [OSLO, BAY_WHEELS])


class _Captured(msgspec.Struct):
    doc: msgspec.Raw


@cache
def bodies(name: str) -> tuple[bytes, ...]:
    with gzip.open(CAPTURES / "timeseries" / name / "station_status.jsonl.gz") as lines:
        return tuple(bytes(msgspec.json.decode(line, type=_Captured).doc) for line in lines)


@cache
def polls(name: str) -> tuple[Snapshot, ...]:
    return tuple(snapshot(payload) for payload in bodies(name))


@cache
def in_order(name: str) -> System:
    system = System()
    system.take(*polls(name))
    return system


def listed(payload: bytes) -> tuple[int, dict[str, dict]]:
    """Feed time and stations, as the standard library reads them."""
    document = json.loads(payload)
    return document["last_updated"], {s["station_id"]: s for s in document["data"]["stations"]}


def counts(station: dict) -> tuple:
    types = station.get("vehicle_types_available") or []
    by_type = tuple(sorted((entry["vehicle_type_id"], entry["count"]) for entry in types))
    names = ("num_bikes_available", "num_docks_available", "num_bikes_disabled")
    beside = ("num_ebikes_available", "num_scooters_available")
    return (*(station.get(name) for name in (*names, *beside)), by_type)


def flags(station: dict) -> tuple:
    return tuple(bool(station[name]) for name in ("is_installed", "is_renting", "is_returning"))


def events(system: System) -> dict[str, tuple]:
    return {e["event_id"]: (e["station_id"], e["ts_iso"], e["kind"], e["delta"]) for e in system.events}


def signed(event: dict) -> int:
    return event["delta"] if event["kind"] == "dropoff" else -event["delta"]


@both
def test_rows_are_exactly_first_and_changed_and_due_heartbeats(name):
    last: dict[str, tuple] = {}
    expected, observations = [], 0
    for payload in bodies(name):
        feed_s, stations = listed(payload)
        observations += len(stations)
        for station_id, station in stations.items():
            before = last.get(station_id)
            now = (counts(station), flags(station))
            if before is None:
                change = "first"
            elif before[0] != now[0]:
                change = "counts"
            elif before[1] != now[1]:
                change = "flags"
            elif feed_s - before[2] >= HEARTBEAT_S:
                change = "heartbeat"
            else:
                continue
            last[station_id] = (*now, feed_s)
            expected.append((station_id, feed_s, change, station["num_bikes_available"]))
    system = in_order(name)
    assert [
        (row["station_id"], row["feed_ts"].timestamp(), row["change"], row["bikes"]) for row in system.rows
    ] == expected
    shares = {
        change: f"{count / observations:.1%}"
        for change, count in Counter(c for _, c in system.changes).items()
    }
    print(
        f"{name}: {len(system.rows) / observations:.1%} of {observations} observations have a row; {shares}"
    )
    assert len(system.rows) / observations == pytest.approx({OSLO: 0.44, BAY_WHEELS: 0.23}[name], abs=0.01)


@both
def test_the_events_add_up_to_what_the_bodies_say(name):
    expected: dict[tuple, int] = {}
    last: dict[str, int] = {}
    for payload in bodies(name):
        feed_s, stations = listed(payload)
        for station_id, station in stations.items():
            bikes = station["num_bikes_available"]
            if gained := bikes - last.get(station_id, bikes):
                expected[station_id, feed_s] = gained
            last[station_id] = bikes
    system = in_order(name)
    found = {
        (e["station_id"], datetime.fromisoformat(e["ts_iso"]).timestamp()): signed(e) for e in system.events
    }
    assert found == expected
    assert len(found) == len(system.events)


@both
def test_duplicates_and_replays_change_nothing(name):
    rng = random.Random(20)
    repeated: list[Snapshot] = []
    for taken in polls(name):
        repeated.append(taken)
        if rng.random() < 0.05:
            repeated.append(rng.choice(repeated[-50:]))
    system = System()
    system.take(*repeated, *polls(name))
    assert len(repeated) > len(polls(name))
    undisturbed = in_order(name)
    assert (system.events, system.rows, system.polls) == (
        undisturbed.events,
        undisturbed.rows,
        undisturbed.polls,
    )


@both
def test_empty_blips_change_no_event(name):
    blip = msgspec.json.decode((BLIP / "2_blip.json").read_bytes())
    disturbed: list[Snapshot] = []
    for number, taken in enumerate(polls(name)):
        disturbed.append(taken)
        if number % 17 == 0:
            at = taken.feed_ts + timedelta(seconds=5)
            disturbed.append(snapshot(msgspec.json.encode(blip | {"last_updated": int(at.timestamp())})))
    system = System()
    system.take(*disturbed)
    assert Counter(system.verdicts)["suspect"] == len(disturbed) - len(polls(name))
    assert (events(system), system.rows) == (events(in_order(name)), in_order(name).rows)
    kinds = [notice.type for notice in system.feed_events]
    assert kinds.count("feed.suspect") == Counter(system.verdicts)["suspect"]


def test_the_blip_of_boulder_derives_nothing():
    before, blip, after = (snapshot(path.read_bytes()) for path in sorted(BLIP.glob("*.json")))
    disturbed, undisturbed = System(), System()
    disturbed.take(before, blip, after)
    undisturbed.take(before, after)
    assert disturbed.verdicts[1] == "suspect"
    assert (disturbed.events, disturbed.rows) == (undisturbed.events, undisturbed.rows)
    assert len(disturbed.events) < 20


@both
def test_displaced_polls_derive_nothing_and_lose_nothing(name):
    rng = random.Random(7)
    places = sorted(enumerate(polls(name)), key=lambda numbered: numbered[0] + rng.uniform(0, 3.99))
    assert max(abs(place - number) for place, (number, _) in enumerate(places)) == 3
    system, newest, accepted = System(), datetime.min.replace(tzinfo=UTC), []
    for number, taken in places:
        curated = system.take(taken)
        if taken.feed_ts <= newest:
            assert curated.poll["verdict"] == "out_of_order"
            assert (curated.status_rows, curated.rides) == ([], [])
        else:
            assert curated.poll["verdict"] in {"ok", "unchanged"}
            newest = taken.feed_ts
            accepted.append(number)
    assert len(system.polls) == len(polls(name))
    assert len(accepted) < len(polls(name))
    assert_net_sums(system, name, accepted)
    assert standing(system.state) == standing(in_order(name).state)


def assert_net_sums(system: System, name: str, accepted: list[int]) -> None:
    """The events of a displaced run are, per station and interval of accepted polls, the sums of the ordered run."""
    until = {}
    first = 0
    for number in accepted:
        until |= dict.fromkeys(range(first, number + 1), number)
        first = number + 1
    numbers = {taken.feed_ts: number for number, taken in enumerate(polls(name))}
    expected: defaultdict[tuple, int] = defaultdict(int)
    for event in in_order(name).events:
        number = numbers[datetime.fromisoformat(event["ts_iso"])]
        expected[event["station_id"], until[number]] += signed(event)
    found = {
        (e["station_id"], numbers[datetime.fromisoformat(e["ts_iso"])]): signed(e) for e in system.events
    }
    assert found == {key: gained for key, gained in expected.items() if gained}


def standing(state: SystemState) -> dict:
    """What a state knows of the stations; the times of their last rows depend on the polls that were accepted."""
    return {name: (station.values, station.known_bikes) for name, station in state.stations.items()}


@both
def test_a_warm_start_in_the_middle_goes_on_as_if_nothing_had_happened(name):
    series = polls(name)
    middle = len(series) // 2
    system = System()
    system.take(*series[:middle])
    system.state = system.warm(series[middle].feed_ts)
    system.take(*series[middle:])
    assert (system.rows, system.events, system.polls) == (
        in_order(name).rows,
        in_order(name).events,
        in_order(name).polls,
    )
    assert system.state.stations == in_order(name).state.stations
