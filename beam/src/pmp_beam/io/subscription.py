"""The source: a subscription's messages in the form that the writer's code takes."""

from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub
from apache_beam.pvalue import PBegin, PCollection

from pmp_schema.message import Message
from pmp_schema.topology import TOPOLOGY


class ReadMessages(beam.PTransform[PBegin, PCollection[Message]]):
    """PBegin -> PCollection[Message], unbounded.

    Args:
        subscription: id of the topology.
        project: Google Cloud project id.

    Raises:
        KeyError: the topology has no such subscription.
    """

    def __init__(self, subscription: str, *, project: str) -> None:
        super().__init__()
        by_id = {known.id: known for known in TOPOLOGY.subscriptions}
        self._subscription = by_id[subscription]
        self._project = project

    def expand(self, begin: PBegin) -> PCollection[Message]:
        path = self._subscription.path(self._project)
        messages: PCollection[Message] = (
            begin
            | "Pull" >> ReadFromPubSub(subscription=path, with_attributes=True)
            | "Message"
            >> beam.Map(push_message, subscription=self._subscription.id).with_output_types(Message)
        )
        return messages


def push_message(message: PubsubMessage, *, subscription: str) -> Message:
    """The same message as the writer gets it pushed."""
    at = message.publish_time
    return Message(
        data=message.data or b"",
        message_id=message.message_id or "",
        attributes=dict(message.attributes or {}),
        publish_ts=datetime.combine(at.date(), at.time(), UTC) if at is not None else None,
        subscription=subscription,
    )
