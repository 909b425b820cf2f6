"""The streaming pipeline from sensor events to `raw_events`, where there are too many for pushes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import apache_beam as beam
import msgspec
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.deduplicate import DeduplicatePerKey
from apache_beam.utils.timestamp import Duration

from pmp_beam.io import PublishMessages, RejectedRow, WriteRows
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema import message_rows as rows
from pmp_schema.dead_letters import REPLAY_COUNT, DeadLetter
from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.message import Message
from pmp_schema.tables import Row
from pmp_schema.topology import TOPOLOGY

SOURCE: Final = "pmp-beam"
STAGE: Final = "beam/ingest_events"
ROUTE: Final = "sensor-events"
REJECTED: Final = "rejected"
DEDUPLICATED_FOR_S: Final = 600
"""Pub/Sub delivers again within minutes; what comes later, the unique view removes."""

Key = tuple[str, str, str, str]
"""Date, station and id make an event one of its own; its replay, after a try that was refused, is no double."""


def build(
    messages: PCollection[Message],
    *,
    deduplicate: bool,
    project: str,
    storage_emulator: str | None = None,
    moved_to: str | None = None,
) -> None:
    """Builds the pipeline behind its source.

    Args:
        messages: of `pmp-sensor-events`.
        deduplicate: drop what is delivered again, where the source does not. That needs a state for each event, and
            behind a state Dataflow has a bundle for each key: an append for each row, of a message that is
            acknowledged already. Without one, the messages of a bundle share an append and are acknowledged after it.
        storage_emulator: `host:port` of the Storage API's emulator, or None for Google.
        moved_to: `project.dataset.table` of the events where they are not in their own place.
    """
    keyed = messages | "Key by event" >> (
        beam.ParDo(KeyByEvent()).with_output_types(tuple[Key, bytes]).with_outputs(REJECTED, main="keyed")
    )
    events = keyed.keyed
    if deduplicate:
        # Processing time: at few messages a minute Pub/Sub's watermark stands still (apache/beam#19518).
        duration = Duration(seconds=DEDUPLICATED_FOR_S)
        events = events | "Deduplicate" >> DeduplicatePerKey(processing_time_duration=duration)
    written = (
        events
        | "Message" >> beam.Values().with_output_types(bytes)
        | "Write events"
        >> WriteRows(
            "raw_events", project=project, rows_of=rows_of, moved_to=moved_to, emulator_host=storage_emulator
        )
    )
    refused = written.rejected | "Row to dead letter" >> beam.Map(row_letter).with_output_types(Outgoing)
    (
        (keyed[REJECTED], refused)
        | "Dead letters" >> beam.Flatten()
        | "Give up" >> PublishMessages("dead-letters", project=project, source=SOURCE)
    )


class KeyByEvent(beam.DoFn):
    """Message -> (key, message as bytes); what is no event goes to REJECTED as a dead letter.

    Bytes, so that what waits between two workers does not depend on a Python class.
    """

    def __init__(self) -> None:
        self._rejected = Metrics.counter("ingest_events", "messages_rejected")

    def process(self, element: Message) -> Iterator[Any]:
        try:
            (row,) = rows.build(ROUTE, element, _now()).rows
        except PoisonMessage as poison:
            self._rejected.inc()
            yield TaggedOutput(REJECTED, _letter(element, poison.reason, poison.detail))
            return
        replay = element.attributes.get(REPLAY_COUNT, "")
        key = str(row["event_date"]), row["station_id"], row["event_id"], replay
        yield key, msgspec.msgpack.encode(element)


def rows_of(message: bytes) -> list[Row]:
    """The row of an event, as the writer makes it."""
    return rows.build(ROUTE, _message(message), _now()).rows


def row_letter(rejected: RejectedRow) -> Outgoing:
    """The message of a row that BigQuery refuses."""
    return _letter(_message(rejected.element), rejected.reason, rejected.detail)


def _message(data: bytes) -> Message:
    return msgspec.msgpack.decode(data, type=Message)


def _letter(message: Message, reason: Reason, detail: str) -> Outgoing:
    letter = DeadLetter(
        message=message,
        data=message.data,
        reason=reason,
        detail=detail,
        stage=STAGE,
        source_topic=TOPOLOGY.topics[ROUTE].id,
    )
    return Outgoing(*letter.published(_now()))


def _now() -> datetime:
    return datetime.now(UTC)
