"""The simulated city: conservation, determinism, and the shares measured on real systems."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from pmp_simulator import demand
from pmp_simulator.city import City
from pmp_simulator.clock import SimulatedClock
from pmp_simulator.moves import Move, TruthLog

TUESDAY_8H = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)  # 08:00 in Paris


def city(*, seed: int = 7, stations: int = 200, start_at: datetime = TUESDAY_8H) -> City:
    return City(seed=seed, start_at=start_at, stations=stations)


def minutes(count: int) -> list[datetime]:
    return [TUESDAY_8H + timedelta(minutes=minute) for minute in range(1, count + 1)]


@pytest.fixture(scope="module")
def morning() -> tuple[City, list[list[int]], list[Move]]:
    """The full city's morning: itself, its bikes per station at each minute, and its moves."""
    paris = city(stations=1400)
    counts = [[paris.bikes(i) for i in range(1400)]]
    moves = []
    for at in minutes(100):
        moves += paris.advance_to(at)
        counts.append([paris.bikes(i) for i in range(1400)])
    return paris, counts, moves


def changes(counts: list[list[int]]) -> Counter[int]:
    pairs = pairwise(counts)
    deltas = (abs(b - a) for before, after in pairs for a, b in zip(before, after, strict=True))
    return Counter(delta for delta in deltas if delta)


def test_one_step_or_many_give_the_same_moves():
    at_once, by_seconds = city(), city()
    expected = at_once.advance_to(TUESDAY_8H + timedelta(hours=1))
    moves = []
    for second in range(7, 3601, 7):
        moves += by_seconds.advance_to(TUESDAY_8H + timedelta(seconds=second))
    moves += by_seconds.advance_to(TUESDAY_8H + timedelta(hours=1))
    assert len(expected) > 50
    assert moves == expected
    assert (by_seconds.mechanical, by_seconds.ebikes) == (at_once.mechanical, at_once.ebikes)


def test_another_seed_is_another_city():
    later = TUESDAY_8H + timedelta(hours=1)
    assert city(seed=1).advance_to(later) != city(seed=2).advance_to(later)


def test_no_station_holds_less_than_nothing_or_more_than_its_docks(morning):
    paris, counts, _ = morning
    assert min(map(min, counts)) == 0
    assert min(paris.mechanical) >= 0
    assert min(paris.ebikes) >= 0
    assert all(paris.bikes(i) <= station.docks for i, station in enumerate(paris.stations))


def test_the_moves_explain_every_count(morning):
    paris, counts, moves = morning
    net: Counter[str] = Counter()
    for move in moves:
        net[move.station_id] += move.delta if move.kind == "dropoff" else -move.delta
    for before, after, station in zip(counts[0], counts[-1], paris.stations, strict=True):
        assert after - before == net[str(station.id)]


def test_moves_are_in_order_and_inside_the_asked_time(morning):
    _, _, moves = morning
    times = [move.at for move in moves]
    assert times == sorted(times)
    assert times[0] > TUESDAY_8H
    assert times[-1] <= TUESDAY_8H + timedelta(minutes=100)


def test_changes_per_poll_are_as_measured_on_real_systems(morning):
    _, counts, _ = morning
    found = changes(counts)
    total = found.total()
    assert 0.69 <= found[1] / total <= 0.85
    assert 0.010 <= sum(n for delta, n in found.items() if delta >= 5) / total <= 0.027


def test_about_two_percent_of_stations_change_per_minute_over_a_workday():
    paris = city(stations=400)
    stops = {(move.at, move.station_id) for move in paris.advance_to(TUESDAY_8H + timedelta(days=1))}
    assert 0.017 <= len(stops) / 400 / 1440 <= 0.024


def test_vans_move_five_bikes_or_more_and_riders_at_most_four(morning):
    _, _, moves = morning
    loads: Counter[tuple[str, datetime, str]] = Counter()
    for move in moves:
        loads[move.cause, move.at, move.station_id] += move.delta
    by_cause = {cause: [n for key, n in loads.items() if key[0] == cause] for cause in ("rider", "van")}
    assert min(by_cause["van"]) >= 5
    assert max(by_cause["rider"]) == 4


def test_the_morning_empties_homes_and_fills_offices(morning):
    paris, counts, _ = morning
    homes = [i for i, s in enumerate(paris.stations) if s.home > 0.5]
    offices = [i for i, s in enumerate(paris.stations) if s.home < -0.5]
    assert sum(counts[-1][i] for i in homes) < sum(counts[0][i] for i in homes)
    assert sum(counts[-1][i] for i in offices) > sum(counts[0][i] for i in offices)


def test_rides_peak_at_eight_and_eighteen_on_workdays_only():
    midnight = datetime(2026, 3, 10, tzinfo=demand.PARIS)
    by_hour = [demand.intensity(midnight + timedelta(hours=hour)) for hour in range(24)]
    assert max(by_hour[:13]) == by_hour[8]
    assert max(by_hour[13:]) == by_hour[18]
    saturday = midnight + timedelta(days=4)
    assert demand.intensity(saturday + timedelta(hours=8)) < demand.intensity(saturday + timedelta(hours=15))


@pytest.mark.parametrize("hour", [0, 8, 13, 19])
def test_the_city_starts_plausibly_at_any_hour(hour):
    start_at = datetime(2026, 3, 10, hour, tzinfo=demand.PARIS)
    paris = city(stations=1400, start_at=start_at)
    assert 15_000 <= paris.fleet <= 20_000
    assert 30 <= sum(paris.bikes(i) == 0 for i in range(1400)) <= 150


def test_stations_out_of_service_never_move(morning):
    paris, _, moves = morning
    idle = {str(station.id) for station in paris.stations if not station.in_service}
    assert len(idle) == 30
    assert not idle & {move.station_id for move in moves}


@pytest.mark.parametrize(("stations", "hours"), [(1, 48), (2, 48), (5, 48), (200, 5)])
def test_no_bike_is_made_or_lost_and_time_does_not_go_back(stations, hours):
    small = city(stations=stations)
    for hour in range(1, hours + 1):
        for minute in (17, 60):
            small.advance_to(TUESDAY_8H + timedelta(hours=hour - 1, minutes=minute))
            assert sum(small.mechanical) + sum(small.ebikes) + small.in_transit == small.fleet
    with pytest.raises(ValueError, match="cannot go back"):
        small.advance_to(TUESDAY_8H - timedelta(seconds=1))


def test_a_clock_stretches_real_time_and_cannot_stand_still():
    real_s = iter([100.0, 102.5])
    clock = SimulatedClock(TUESDAY_8H, 60.0, lambda: next(real_s))
    assert clock.now() == TUESDAY_8H + timedelta(seconds=150)
    with pytest.raises(ValueError, match="above zero"):
        SimulatedClock(TUESDAY_8H, 0.0)


def move(second: int) -> Move:
    return Move(TUESDAY_8H + timedelta(seconds=second), "7", "pickup", 1, "rider", "ebike")


def test_a_truth_line_holds_the_whole_move():
    log = TruthLog()
    log.append([move(1)])
    assert b"".join(log.lines()) == (
        b'{"at":"2026-03-10T07:00:01.000000Z","station_id":"7","kind":"pickup","delta":1,'
        b'"cause":"rider","bike_type":"ebike"}\n'
    )


def test_truth_is_read_after_since_and_until_until():
    log = TruthLog()
    log.append(move(second) for second in range(3000))
    log.append([])
    lines = list(log.lines(since=move(10).at, until=move(2990).at))
    assert len(lines) == 2980
    assert b"07:00:11.0" in lines[0]
    assert b"07:49:50.0" in lines[-1]
    assert list(TruthLog().lines()) == []


def test_truth_written_while_it_is_read_belongs_to_the_next_reading():
    log = TruthLog()
    log.append(move(second) for second in range(2000))
    reading = log.lines()
    first = next(reading)
    log.append([move(5000)])
    assert 1 + len(list(reading)) == 2000
    assert first in list(log.lines())
    assert len(list(log.lines())) == 2001
