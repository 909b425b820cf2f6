"""The sensor simulator: seeded events, the printed line, and the pace."""

from datetime import UTC, datetime
from itertools import islice, pairwise

import pytest

from pmp_collector.sensors import Sparse, Steady, paced, printed, sensor_events, station_id

START = datetime(2025, 10, 22, 19, 44, 58, tzinfo=UTC)


def events(count: int, *, seed: int = 1, stations: int = 3, pace=None, **more) -> list[dict]:
    stream = sensor_events(
        run="r1", stations=stations, seed=seed, start_at=START, pace=pace or Sparse(seed), **more
    )
    return list(islice(stream, count))


class FakeTime:
    """A clock that only moves when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds


def test_an_event_has_the_fields_of_the_contract():
    first = events(1, city_id="paris")[0]
    assert list(first) == ["event_id", "station_id", "ts_iso", "kind", "delta", "source", "city_id"]
    assert (first["event_id"], first["ts_iso"]) == ("e-r1-90001", "2025-10-22T19:44:58+00:00")
    assert (first["source"], first["city_id"]) == ("simulator", "paris")


def test_the_city_is_absent_where_none_is_given():
    assert "city_id" not in events(1)[0]


def test_ids_count_on_and_carry_the_run():
    assert [event["event_id"] for event in events(3)] == ["e-r1-90001", "e-r1-90002", "e-r1-90003"]


def test_the_seed_alone_decides():
    assert events(50) == events(50)
    assert events(50) != events(50, seed=2)


def test_kinds_deltas_and_stations_stay_inside_the_contract():
    found = events(2000)
    assert {event["kind"] for event in found} == {"pickup", "dropoff"}
    assert {event["delta"] for event in found} == {1, 2, 3}
    assert {event["station_id"] for event in found} == {"A_101", "A_205", "A_310"}


def test_station_ids_go_on_without_repetition():
    assert [station_id(index) for index in range(5)] == ["A_101", "A_205", "A_310", "A_416", "A_523"]
    assert len({station_id(index) for index in range(1000)}) == 1000


def test_sparse_events_are_one_or_two_seconds_apart():
    times = [datetime.fromisoformat(event["ts_iso"]) for event in events(200)]
    gaps = {(after - before).total_seconds() for before, after in pairwise(times)}
    assert gaps == {1.0, 2.0}


def test_steady_events_share_seconds_at_their_rate():
    times = [event["ts_iso"] for event in events(250, pace=Steady(100.0))]
    assert [times.count(at) for at in dict.fromkeys(times)][:2] == [100, 100]


def test_the_printed_line_is_that_of_the_first_sensor_script():
    event = {
        "event_id": "e-90001",
        "station_id": "A_101",
        "ts_iso": "2025-10-22T19:44:58+00:00",
        "kind": "dropoff",
        "delta": 1,
        "source": "simulator",
        "city_id": "paris",
    }
    assert printed(event) == (
        "Published: {'event_id': 'e-90001', 'station_id': 'A_101', "
        "'ts_iso': '2025-10-22T19:44:58+00:00', 'kind': 'dropoff', 'delta': 1}"
    )


@pytest.mark.parametrize("stations", [0, -1])
def test_without_stations_there_are_no_events(stations):
    with pytest.raises(ValueError, match="above zero"):
        events(1, stations=stations)


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="above zero"):
        Steady(0.0)


def test_the_first_event_is_due_at_once_and_the_others_at_the_rate():
    time = FakeTime()
    stream = paced(events(3), Steady(2.0), sleep=time.sleep, monotonic=time.monotonic)
    assert len(list(stream)) == 3
    assert time.slept == [0.5, 0.5]


def test_time_lost_by_the_consumer_is_made_up():
    time = FakeTime()
    stream = paced(events(4), Steady(2.0), sleep=time.sleep, monotonic=time.monotonic)
    next(stream)
    time.now_s += 1.2
    list(stream)
    assert time.slept == [0.3]


def test_pace_and_timestamps_agree():
    time = FakeTime()
    found = list(paced(events(20), Sparse(1), sleep=time.sleep, monotonic=time.monotonic))
    last = datetime.fromisoformat(found[-1]["ts_iso"])
    assert 0 <= sum(time.slept) - (last - START).total_seconds() < 1
