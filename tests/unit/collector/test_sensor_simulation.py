"""Simulated sensor events: what they contain, when they come, and how they are published."""

import json
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from pmp_collector.sensor_simulation import SensorSimulation, SimulationRequest
from pmp_collector.sensors import event_gaps, paced, printed, sensor_events, station_id
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema.errors import PublishFailed
from pmp_schema.events import decode_sensor_event
from pmp_schema.topology import TOPOLOGY, Topic
from tests.fakes.recording import RecordingPublisher

START = datetime(2025, 10, 22, 19, 44, 58, tzinfo=UTC)


class Batches(RecordingPublisher):
    """Remembers the size of each request, and fails from the given one on."""

    def __init__(self, fail_from: int | None = None) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self._fail_from = fail_from

    def publish(self, topic: Topic, messages: list[Outgoing]) -> list[str]:
        if len(self.sizes) == self._fail_from:
            raise PublishFailed("down")
        self.sizes.append(len(messages))
        return super().publish(topic, messages)


class Time:
    """A clock that moves only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds


def generated(count: int, *, seed: int = 1, rate=None, **more) -> list[dict]:
    stream = sensor_events(
        run="r1", stations=3, seed=seed, start_at=START, gaps=event_gaps(rate, seed), **more
    )
    return list(islice(stream, count))


def run(publisher: RecordingPublisher | None = None, *, on_published=lambda _: None, **wanted):
    time, publisher = Time(), publisher or Batches()
    simulation = SensorSimulation(
        publisher, TOPOLOGY.topics["sensor-events"], sleep=time.sleep, monotonic=time.monotonic
    )
    return simulation.run(SimulationRequest(**wanted), on_published), publisher, time


def published(publisher: RecordingPublisher) -> list[dict]:
    return [json.loads(message.data) for _, message in publisher.published]


def test_an_event_has_the_fields_of_the_contract():
    first, second = generated(2, city_id="paris")
    assert list(first) == ["event_id", "station_id", "ts_iso", "kind", "delta", "source", "city_id"]
    assert (first["event_id"], first["ts_iso"]) == ("e-r1-90001", "2025-10-22T19:44:58+00:00")
    assert (first["source"], first["city_id"]) == ("simulator", "paris")
    assert second["event_id"] == "e-r1-90002"
    assert "city_id" not in generated(1)[0]


def test_kinds_deltas_and_stations_stay_inside_the_contract():
    found = generated(2000)
    assert {event["kind"] for event in found} == {"pickup", "dropoff"}
    assert {event["delta"] for event in found} == {1, 2, 3}
    assert {event["station_id"] for event in found} == {"A_101", "A_205", "A_310"}
    assert [station_id(index) for index in range(5)] == ["A_101", "A_205", "A_310", "A_416", "A_523"]
    assert len({station_id(index) for index in range(1000)}) == 1000


def test_sparse_events_are_one_or_two_seconds_apart_and_steady_ones_follow_their_rate():
    times = [datetime.fromisoformat(event["ts_iso"]) for event in generated(200)]
    assert {(after - before).total_seconds() for before, after in pairwise(times)} == {1.0, 2.0}
    times = [event["ts_iso"] for event in generated(250, rate=100.0)]
    assert [times.count(at) for at in dict.fromkeys(times)][:2] == [100, 100]


def test_the_printed_line_is_that_of_the_first_sensor_script():
    (event,) = generated(1, city_id="paris")
    assert printed(event | {"kind": "dropoff", "delta": 1, "station_id": "A_101"}) == (
        "Published: {'event_id': 'e-r1-90001', 'station_id': 'A_101', "
        "'ts_iso': '2025-10-22T19:44:58+00:00', 'kind': 'dropoff', 'delta': 1}"
    )


@pytest.mark.parametrize("stations", [0, -1])
def test_without_stations_there_are_no_events(stations):
    with pytest.raises(ValueError, match="above zero"):
        next(sensor_events(run="r", stations=stations, seed=1, start_at=START, gaps=event_gaps(1.0, 1)))


def test_the_first_event_is_due_at_once_and_time_lost_by_the_consumer_is_made_up():
    time = Time()
    stream = paced(generated(5), event_gaps(2.0, 1), sleep=time.sleep, monotonic=time.monotonic)
    next(stream)
    assert time.slept == []
    next(stream)
    time.now_s += 1.2
    list(stream)
    assert time.slept == [0.5, 0.3]


def test_every_event_is_published_once_and_accepted_by_its_readers():
    done, publisher, _ = run(events=1234, rate_per_s=10_000, city_id="paris")
    assert {topic for topic, _ in publisher.published} == {"pmp-sensor-events"}
    read = [decode_sensor_event(message.data) for _, message in publisher.published]
    assert [event.event_id for event in read] == [f"e-{done['run']}-{90001 + n}" for n in range(1234)]
    assert done["published"] == 1234
    assert {(event.city_id, event.source, event.extra) for event in read} == {("paris", "simulator", None)}


def test_a_message_carries_cloudevents_attributes():
    _, publisher, _ = run(events=1)
    (_, message) = publisher.published[0]
    (event,) = published(publisher)
    assert dict(message.attributes) == {
        "ce-specversion": "1.0",
        "ce-id": event["event_id"],
        "ce-type": "sensor_event",
        "ce-source": "simulator",
        "ce-time": event["ts_iso"].replace("+00:00", "Z"),
    }


@pytest.mark.parametrize(
    ("rate", "size"), [(None, 1), (1, 1), (10, 1), (100, 10), (5000, 500), (10_000, 500)]
)
def test_a_request_holds_a_tenth_of_a_second_of_events_and_never_more_than_500(rate, size):
    _, publisher, _ = run(events=2 * size + 1, rate_per_s=rate)
    assert publisher.sizes == ([size, size, 1] if size > 1 else [1, 1, 1])


@pytest.mark.parametrize("rate", [2.0, 100.0, 5000.0])
def test_a_steady_run_takes_as_long_as_its_rate_says(rate):
    done, _, time = run(events=101, rate_per_s=rate)
    assert time.now_s - 50 == pytest.approx(100 / rate, abs=0.003)
    assert done["seconds"] == pytest.approx(time.now_s - 50, abs=0.001)


def test_a_sparse_run_waits_as_long_as_its_timestamps_say():
    before = datetime.now(UTC).replace(microsecond=0)
    _, publisher, time = run(events=20, rate_per_s=None)
    assert len(time.slept) == 19
    assert all(1.0 <= seconds <= 2.0 for seconds in time.slept)
    times = [datetime.fromisoformat(event["ts_iso"]) for event in published(publisher)]
    assert before <= times[0] <= datetime.now(UTC)
    assert abs(times[-1] - times[0] - timedelta(seconds=sum(time.slept))) <= timedelta(seconds=1)


def test_the_same_seed_gives_the_same_events_except_for_run_and_times():
    def shape(seed: int) -> list[tuple]:
        _, publisher, _ = run(events=50, seed=seed)
        return [(event["station_id"], event["kind"], event["delta"]) for event in published(publisher)]

    assert shape(7) == shape(7)
    assert shape(7) != shape(8)


def test_only_confirmed_events_are_passed_on():
    confirmed: list[str] = []
    publisher = Batches(fail_from=2)
    with pytest.raises(PublishFailed):
        run(
            publisher,
            on_published=lambda batch: confirmed.extend(event["event_id"] for event in batch),
            events=100,
            rate_per_s=100,
        )
    assert confirmed == [event["event_id"] for event in published(publisher)]
    assert len(confirmed) == 20
