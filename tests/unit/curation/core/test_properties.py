"""Properties of any series of polls."""

from collections import defaultdict

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pmp_curation.core import SystemState, curate
from tests.unit.curation.core.system import System, at, poll

BIKES = st.integers(0, 6) | st.sampled_from([-1, 999999, None, "3"])
POLL = st.dictionaries(st.sampled_from("abcdefgh"), BIKES, max_size=8)
SERIES = st.lists(POLL, min_size=1, max_size=12)
GAPS = st.sampled_from([1, 7, 40])


def polls(series, gap):
    return [poll(gap * number, **bikes) for number, bikes in enumerate(series)]


def known(value):
    """An independent reading of a count."""
    if value is None or not 0 <= int(value) < 99_999:
        return None
    return int(value)


def signed(event):
    return event["delta"] if event["kind"] == "dropoff" else -event["delta"]


@given(SERIES, GAPS)
def test_between_accepted_polls_the_events_of_a_station_add_up_to_its_net_change(series, gap):
    system, last = System(), {}
    for number, bikes in enumerate(series):
        curated = system.take(poll(gap * number, **bikes))
        assert all(event["delta"] > 0 for event in curated.rides)
        net = {event["station_id"]: signed(event) for event in curated.rides}
        assert len(net) == len(curated.rides)
        if curated.poll["verdict"] == "suspect":
            assert net == {}
            continue
        for name, value in bikes.items():
            count = known(value)
            if count is not None:
                assert net.pop(name, 0) == count - last.get(name, count)
                last[name] = count
        assert net == {}


@given(SERIES, st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=8))
def test_what_comes_again_adds_nothing(series, repeats):
    ordered, repeated = polls(series, 1), polls(series, 1)
    for drawn, place in repeats:
        source = ordered[drawn % len(ordered)]
        if source in repeated[:place]:
            repeated.insert(place, source)
    once, again = System(), System()
    once.take(*ordered)
    again.take(*repeated, *ordered)
    assert (again.rows, again.events, again.polls) == (once.rows, once.events, once.polls)
    assert (again.feed_events, again.state) == (once.feed_events, once.state)


@given(SERIES.flatmap(lambda series: st.tuples(st.just(series), st.permutations(range(len(series))))))
def test_out_of_order_snapshots_have_a_verdict_and_derive_nothing(drawn):
    series, order = drawn
    ordered = polls(series, 1)
    system, newest = System(), at(-1)
    for index in order:
        curated = system.take(ordered[index])
        is_late = ordered[index].feed_ts <= newest
        assert (curated.poll["verdict"] == "out_of_order") == is_late
        if is_late:
            assert (curated.status_rows, curated.rides, curated.feed_events) == ([], [], [])
        elif curated.poll["verdict"] != "suspect":
            newest = ordered[index].feed_ts
    in_order = System()
    for index in order:
        if verdict(system, ordered[index]) in {"ok", "unchanged"}:
            in_order.take(ordered[index])
    assert (in_order.rows, in_order.events) == (system.rows, system.events)


def verdict(system, taken):
    return next(row["verdict"] for row in system.polls if row["event_id"] == taken.event_id)


@given(SERIES, GAPS)
def test_rows_are_first_changed_and_due_heartbeats(series, gap):
    system, last = System(), {}
    for number, bikes in enumerate(series):
        curated = system.take(poll(gap * number, **bikes))
        if curated.poll["verdict"] == "suspect":
            assert curated.status_rows == []
            continue
        expected = {}
        for name, value in bikes.items():
            before, emitted = last.get(name, (None, None))
            if name not in last:
                expected[name] = "first"
            elif before != known(value):
                expected[name] = "counts"
            elif gap * number - emitted >= 60:
                expected[name] = "heartbeat"
            if name in expected:
                last[name] = (known(value), gap * number)
        assert {row["station_id"]: row["change"] for row in curated.status_rows} == expected


@given(SERIES, GAPS)
def test_a_warm_start_before_any_snapshot_gives_what_the_kept_state_gives(series, gap):
    system = System()
    for following in polls(series, gap):
        kept = system.state or SystemState(system_id="velib")
        warm = system.warm(following.feed_ts)
        assert warm.stations == kept.stations
        warm = msgspec.structs.replace(warm, reports=kept.reports)  # rows do not have them
        if warm.absent == kept.absent:
            for decoded in (warm, SystemState.decode(warm.encode())):
                assert outcome(curate(decoded, following)) == outcome(curate(kept, following))
        system.take(following)


def outcome(curated):
    events = defaultdict(int)
    for event in curated.rides:
        events[event["event_id"]] += signed(event)
    return curated.status_rows, events, curated.poll, curated.feed_events, curated.state.stations
