"""Publishes simulated sensor events: makes them, waits until they are due, publishes them in batches."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, ClassVar, Final
from uuid import uuid4

import msgspec

from pmp_collector.sensors import event_gaps, paced, sensor_events
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema.events import cloudevent_attributes
from pmp_schema.timestamps import parse_timestamp
from pmp_schema.topology import Topic

EVENT_TYPE: Final = "sensor_event"
LARGEST_BATCH: Final = 500

Simulate = Callable[["SimulationRequest"], dict[str, Any]]
Positive = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class SimulationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /simulate`.

    Attributes:
        events: number of events.
        stations: number of stations that send them.
        rate_per_s: events per second; null for one every second or two.
        seed: the same seed gives the same events, except for run id and times.
        city_id: added to each event if given.
    """

    MAX_SECONDS: ClassVar[int] = 300

    events: Positive = 20
    stations: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 4
    rate_per_s: Annotated[float, msgspec.Meta(gt=0, le=10_000)] | None = 100.0
    seed: int = 1
    city_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None

    def gaps(self) -> Iterator[float]:
        return event_gaps(self.rate_per_s, self.seed)

    @property
    def batch_events(self) -> int:
        """Events per publish request: a tenth of a second's worth, so that no event is late by more."""
        return 1 if self.rate_per_s is None else max(1, min(LARGEST_BATCH, int(self.rate_per_s / 10)))

    @property
    def seconds(self) -> float:
        """The approximate duration."""
        return self.events * (1.5 if self.rate_per_s is None else 1 / self.rate_per_s)


class SensorSimulation:
    """Args:
    topic: where the events go.
    """

    def __init__(
        self,
        publisher: Publisher,
        topic: Topic,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publisher = publisher
        self._topic = topic
        self._sleep = sleep
        self._monotonic = monotonic

    def run(
        self,
        wanted: SimulationRequest,
        on_published: Callable[[Sequence[dict[str, Any]]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Publishes all events, each when it is due.

        Args:
            on_published: called with the events of each confirmed publish.

        Returns:
            `run` (part of every event id), `published`, `seconds`.

        Raises:
            PublishFailed: Pub/Sub did not confirm; events already passed to `on_published` are confirmed.
        """
        started = self._monotonic()
        run = uuid4().hex[:8]
        source = sensor_events(
            run=run,
            stations=wanted.stations,
            seed=wanted.seed,
            start_at=datetime.now(UTC),
            gaps=wanted.gaps(),
            city_id=wanted.city_id,
        )
        due = paced(
            islice(source, wanted.events), wanted.gaps(), sleep=self._sleep, monotonic=self._monotonic
        )
        published = 0
        for batch in _chunks(due, wanted.batch_events):
            self._publisher.publish(self._topic, [_message(event) for event in batch])
            published += len(batch)
            on_published(batch)
        return {"run": run, "published": published, "seconds": round(self._monotonic() - started, 3)}


def _chunks(events: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(events)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _message(event: dict[str, Any]) -> Outgoing:
    attributes = cloudevent_attributes(
        event_id=event["event_id"],
        event_type=EVENT_TYPE,
        source="simulator",
        time=parse_timestamp(event["ts_iso"]),
    )
    return Outgoing(msgspec.json.encode(event), attributes)
