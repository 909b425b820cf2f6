"""The streaming pipeline from snapshots to history: `station_status`, `feed_polls`, derived pickups and dropoffs."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final

import apache_beam as beam
import msgspec
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from pmp_beam.curate_system import NO_MESSAGE, Curate, MakeHistory
from pmp_beam.io import PublishMessages, RejectedRow, WriteRows
from pmp_curation.curator import LOOK_BACK
from pmp_curation.outcomes import SOURCE, Outcome, dead_letter, given_up
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema.errors import PoisonMessage
from pmp_schema.events import STATION_STATUS
from pmp_schema.message import Message
from pmp_schema.snapshots import receive_snapshot

REJECTED: Final = "rejected"


def build(
    messages: PCollection[Message],
    history: MakeHistory,
    *,
    project: str,
    storage_emulator: str | None = None,
    catch_up_every: timedelta | None = None,
) -> None:
    """Builds the pipeline behind its source.

    Args:
        messages: of `pmp-events`.
        history: makes the history on the worker.
        storage_emulator: `host:port` of the Storage API's emulator, or None for Google.
        catch_up_every: how often, besides the start, to look for snapshots that were acknowledged and never curated.
            For runners that may lose elements.
    """
    keyed = messages | "Key by system" >> (
        beam.ParDo(KeyBySystem()).with_output_types(tuple[str, bytes]).with_outputs(REJECTED, main="keyed")
    )
    snapshots = keyed.keyed
    if catch_up_every is not None:
        known = messages.pipeline | "Systems" >> ListSystems(history)
        snapshots = (snapshots, known) | "Join" >> beam.Flatten()
    outcomes = snapshots | "Curate" >> (
        beam.ParDo(Curate(history, catch_up_every=catch_up_every))
        .with_input_types(tuple[str, bytes])
        .with_output_types(Outcome)
    )
    deliver(outcomes, project=project, storage_emulator=storage_emulator)
    _give_up(keyed[REJECTED], "Give up messages", project)


def deliver(outcomes: PCollection[Outcome], *, project: str, storage_emulator: str | None) -> None:
    """Makes outcomes durable, part by part.

    Each step passes an outcome on when its part is durable. The poll row comes last: it says that the rest is durable.
    """

    def write(table: str, part: str) -> WriteRows:
        return WriteRows(table, project=project, rows_of=attrgetter(part), emulator_host=storage_emulator)

    def publish(topic: str, part: str) -> PublishMessages:
        return PublishMessages(topic, project=project, source=SOURCE, messages_of=attrgetter(part))

    status = outcomes | "Write status rows" >> write("station_status", "status_rows")
    polls = (
        status.settled
        | "Publish derived events" >> publish("sensor-events", "rides")
        | "Publish dead letters" >> publish("dead-letters", "dead_letters")
        | "Publish notices" >> publish("ops-events", "ops_events")
        | "Write polls" >> write("feed_polls", "polls")
    )
    refused = (
        (status.rejected, polls.rejected)
        | "Refused rows" >> beam.Flatten()
        | "Row to dead letter" >> beam.Map(row_letter).with_output_types(Outgoing)
    )
    _give_up(refused, "Give up rows", project)


def _give_up(letters: PCollection[Outgoing], step: str, project: str) -> None:
    letters | step >> PublishMessages("dead-letters", project=project, source=SOURCE)


def row_letter(rejected: RejectedRow) -> Outgoing:
    """A row that BigQuery rejected, as JSON, in a dead letter of its message."""
    data = msgspec.json.encode(rejected.row)
    return dead_letter(rejected.element.message, data, rejected.reason, rejected.detail, _now())


class KeyBySystem(beam.DoFn):
    """Message -> (system id, message as bytes); a message without a snapshot goes to REJECTED as a dead letter.

    The envelope is decoded only where the attributes do not name the system: `Curate` decodes it anyway. Elements are
    bytes, so that those between two workers do not depend on a Python class.
    """

    def __init__(self) -> None:
        self._other_feeds = Metrics.counter("curate_status", "messages_of_other_feeds")
        self._rejected = Metrics.counter("curate_status", "messages_rejected")

    def process(self, element: Message) -> Iterator[Any]:
        system_id = _named_system(element)
        if system_id is None:
            try:
                received = receive_snapshot(element, _now())
            except PoisonMessage as poison:
                self._rejected.inc()
                for letter in given_up(element, poison, _now()).dead_letters:
                    yield TaggedOutput(REJECTED, letter)
                return
            if received.envelope.event_type != STATION_STATUS:
                self._other_feeds.inc()
                return
            system_id = received.system_id
        yield system_id, msgspec.msgpack.encode(element)


def _named_system(message: Message) -> str | None:
    """The system that the attributes of a station_status name; `Curate` compares it with the envelope."""
    given = message.attributes
    return given.get("ce-source") or None if given.get("ce-type") == STATION_STATUS else None


class ListSystems(beam.PTransform[Any, PCollection[tuple[str, bytes]]]):
    """PBegin -> (system id, NO_MESSAGE), once for each system that was polled recently."""

    def __init__(self, history: MakeHistory) -> None:
        super().__init__()
        self._history = history

    def expand(self, begin: Any) -> PCollection[tuple[str, bytes]]:
        systems: PCollection[tuple[str, bytes]] = (
            begin
            | "Once" >> beam.Create([None], reshuffle=False)
            | "List" >> beam.FlatMap(_systems, self._history, _now).with_output_types(tuple[str, bytes])
        )
        return systems


def _systems(_: None, history: MakeHistory, now: Callable[[], datetime]) -> Iterator[tuple[str, bytes]]:
    for system_id in history().systems(now() - LOOK_BACK):
        yield system_id, NO_MESSAGE


def _now() -> datetime:
    return datetime.now(UTC)
