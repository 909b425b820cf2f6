"""Simulated events on their way out: batches, pace, attributes, what is confirmed."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from pmp_collector.sensor_simulation import Simulation, SimulationRequest
from pmp_runtime.pubsub.publisher import Outgoing
from pmp_schema.errors import PublishFailed
from pmp_schema.events import decode_sensor_event
from pmp_schema.topology import TOPOLOGY, Topic
from tests.fakes.recording import RecordingPublisher

TOPIC = TOPOLOGY.topics["sensor-events"]


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
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_s += seconds

    def monotonic(self) -> float:
        return self.now_s


def run(wanted: SimulationRequest, publisher: RecordingPublisher | None = None, **options):
    time = Time()
    publisher = publisher or Batches()
    simulation = Simulation(publisher, TOPIC, sleep=time.sleep, monotonic=time.monotonic)
    return simulation.run(wanted, **options), publisher, time


def events(publisher: RecordingPublisher) -> list[dict]:
    return [json.loads(message.data) for _, message in publisher.published]


def test_every_event_is_published_once_and_accepted_by_its_readers():
    done, publisher, _ = run(SimulationRequest(events=1234, rate_per_s=10_000, city_id="paris"))
    assert done["published"] == 1234
    assert {topic for topic, _ in publisher.published} == {"pmp-sensor-events"}
    read = [decode_sensor_event(message.data) for _, message in publisher.published]
    assert len({event.event_id for event in read}) == 1234
    assert {(event.city_id, event.source, event.extra) for event in read} == {("paris", "simulator", None)}


def test_the_ids_hold_the_run():
    done, publisher, _ = run(SimulationRequest(events=2))
    assert [event["event_id"] for event in events(publisher)] == [
        f"e-{done['run']}-90001",
        f"e-{done['run']}-90002",
    ]


def test_a_message_carries_cloudevents_attributes():
    _, publisher, _ = run(SimulationRequest(events=1))
    (_, message) = publisher.published[0]
    (event,) = events(publisher)
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
    _, publisher, _ = run(SimulationRequest(events=2 * size + 1, rate_per_s=rate))
    assert publisher.sizes == ([size, size, 1] if size > 1 else [1, 1, 1])


@pytest.mark.parametrize("rate", [2.0, 100.0, 5000.0])
def test_a_steady_run_takes_as_long_as_its_rate_says(rate):
    done, _, time = run(SimulationRequest(events=101, rate_per_s=rate))
    assert time.now_s == pytest.approx(100 / rate, abs=0.003)
    assert done["seconds"] == pytest.approx(time.now_s, abs=0.001)


def test_a_sparse_run_waits_a_second_or_two_between_events():
    _, _, time = run(SimulationRequest(events=20, rate_per_s=None))
    assert len(time.sleeps) == 19
    assert all(1.0 <= seconds <= 2.0 for seconds in time.sleeps)


def test_event_times_are_now_and_go_on_with_the_pace():
    before = datetime.now(UTC).replace(microsecond=0)
    _, publisher, _ = run(SimulationRequest(events=21, rate_per_s=2.0))
    times = [datetime.fromisoformat(event["ts_iso"]) for event in events(publisher)]
    assert before <= times[0] <= datetime.now(UTC)
    assert times == sorted(times)
    assert timedelta(seconds=9) <= times[-1] - times[0] <= timedelta(seconds=11)


def test_the_same_seed_gives_the_same_events_but_for_run_and_times():
    def shape(seed: int) -> list[tuple]:
        _, publisher, _ = run(SimulationRequest(events=50, seed=seed))
        return [(event["station_id"], event["kind"], event["delta"]) for event in events(publisher)]

    assert shape(7) == shape(7)
    assert shape(7) != shape(8)


def test_what_is_confirmed_is_handed_on_and_nothing_else():
    confirmed: list[str] = []
    publisher = Batches(fail_from=2)
    with pytest.raises(PublishFailed):
        run(
            SimulationRequest(events=100, rate_per_s=100),
            publisher,
            on_published=lambda batch: confirmed.extend(event["event_id"] for event in batch),
        )
    assert confirmed == [event["event_id"] for event in events(publisher)]
    assert len(confirmed) == 20
