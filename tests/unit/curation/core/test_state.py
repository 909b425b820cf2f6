"""The state between two snapshots: its encoding, and how it is rebuilt from curated rows."""

import random
from uuid import UUID

import msgspec
import pytest

from pmp_curation.core import Rules, StateVersionError, SystemState, curate
from tests.unit.curation.core.system import System, at, body, poll, snapshot, station

TEN = dict.fromkeys("abcdefghij", 5)


def test_a_state_survives_its_bytes():
    system = System()
    system.take(poll(0, **TEN), poll(1, **TEN | {"a": -1}), poll(2), poll(3, b=1))
    assert SystemState.decode(system.state.encode()) == system.state


def test_the_bytes_of_version_1_can_be_read_for_ever():
    values = [4, 10, None, None, None, None, True, True, False]
    fields = ["velib", {"a": [values, 4, 1772366400000000]}, ["b"], 1772366400000000, True, None, [7]]
    state = SystemState.decode(b"\x01" + msgspec.msgpack.encode(fields))
    assert (state.system_id, state.absent, state.is_suspect, state.events) == ("velib", {"b"}, True, (7,))
    assert state.stations["a"].values.bikes == 4
    assert state.encode() == b"\x01" + msgspec.msgpack.encode([*fields, None])
    assert SystemState.decode(b"\x01" + msgspec.msgpack.encode(["velib"])) == SystemState(system_id="velib")


@pytest.mark.parametrize("data", [b"", b"\x02\x91\xa1x"])
def test_bytes_of_an_unknown_version_are_refused(data):
    with pytest.raises(StateVersionError):
        SystemState.decode(data)


def test_1500_stations_and_a_day_of_snapshots_stay_far_below_200_kb():
    system = System()
    rng = random.Random(1)
    names = [str(UUID(int=rng.getrandbits(128))) for _ in range(1500)]
    stations = [
        station(name, rng.randrange(40), num_bikes_available_types=[{"mechanical": 3}, {"ebike": 4}])
        for name in names
    ]
    curated = system.take(snapshot(body(stations, at(0))))
    day = tuple(rng.getrandbits(64) for _ in range(Rules().remembered_events))
    assert len(msgspec.structs.replace(curated.state, events=day).encode()) < 130_000


def test_a_warm_start_without_rows_is_a_first_start():
    curated = curate(SystemState.from_rows("velib", [], []), poll(0, a=5))
    assert [row["change"] for row in curated.status_rows] == ["first"]


def test_a_warm_start_recognises_a_collapse_a_late_snapshot_and_one_seen_before():
    system = System()
    seen = poll(1, **TEN)
    system.take(poll(0, **TEN), seen)
    warm = system.warm(at(9))
    assert curate(warm, poll(9, a=1)).poll["verdict"] == "suspect"
    assert curate(warm, poll(0.5, **TEN)).poll["verdict"] == "out_of_order"
    assert curate(warm, seen).poll is None


def test_a_warm_start_goes_on_counting_suspect_snapshots():
    system = System()
    system.take(poll(0, **TEN), *(poll(minute, **dict.fromkeys("abc", 4)) for minute in range(1, 30)))
    warm = system.warm(at(30))
    assert (warm.is_suspect, warm.shrunk_since_us) == (True, system.state.shrunk_since_us)
    assert curate(warm, poll(30, a=4, b=4, c=4)).feed_events == []
    accepted = curate(warm, poll(31, a=4, b=4, c=4))
    assert [notice.type for notice in accepted.feed_events] == ["feed.recovered"]
    assert len(accepted.rides) == 3


def test_a_warm_start_does_not_miss_stations_that_were_gone_before():
    system = System()
    system.take(
        poll(0, **TEN), *(poll(minute, c=minute, **dict.fromkeys("defghij", 5)) for minute in range(1, 90))
    )
    assert system.warm(at(90)).absent == system.state.absent == {"a", "b"}


def test_the_state_is_never_changed_in_place():
    system = System()
    system.take(poll(0, **TEN), poll(1, **TEN))
    before = system.state.encode()
    curate(system.state, poll(2, a=1, **dict.fromkeys("bcdefghi", 1)))
    curate(system.state, poll(2))
    assert system.state.encode() == before
