"""What the writer does with one message; no HTTP, no Google client."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema import message_rows as rows
from pmp_schema.dead_letters import DeadLetter
from pmp_schema.errors import PoisonMessage, Reason, SinkUnavailable
from pmp_schema.message import Message
from pmp_schema.tables import Row
from pmp_schema.topology import TOPOLOGY

DEAD_LETTERS = "dead-letters"


class Sink(Protocol):
    """Where rows go: returns once each is durable or rejected."""

    def submit(self, rows: Sequence[Row]) -> Sequence[RejectedRow]:
        """Raises:
        QueueFull: no room; nothing happened.
        SinkUnavailable: redeliver.
        """


class Handler:
    """Makes each message durable, in its table or in the dead letters.

    Args:
        sinks: one per table id without dataset.
        now: aware UTC clock.
    """

    def __init__(
        self,
        sinks: Mapping[str, Sink],
        publisher: Publisher,
        now: Callable[[], datetime],
    ) -> None:
        self._sinks = sinks
        self._publisher = publisher
        self._now = now

    def handle(self, route: str, message: Message) -> list[DeadLetter]:
        """Returns once the whole message is durable: what became dead letters, empty in the good case.

        Args:
            route: last part of the push path; a key of `rows.BY_ROUTE`.

        Raises:
            RetryableError: something is not known to be durable; the message must come again.
        """
        try:
            rowset = rows.build(route, message, self._now())
        except PoisonMessage as poison:
            given_up = [self._dead_letter(route, message, message.data, poison.reason, poison.detail)]
        else:
            rejected_rows = self._sinks[rowset.table].submit(rowset.rows)
            if rejected_rows and route == DEAD_LETTERS:
                # What BigQuery says may quote a value, and this is logged.
                raise SinkUnavailable(f"dead letter refused as a row: {rejected_rows[0].reason}")
            given_up = [
                self._dead_letter(route, message, part.data, part.reason, part.detail)
                for part in rowset.rejected
            ]
            if rejected_rows:
                data = rowset.part([one.row for one in rejected_rows])
                detail = f"{len(rejected_rows)} of {len(rowset.rows)} rows; first: {rejected_rows[0].detail}"
                given_up.append(self._dead_letter(route, message, data, rejected_rows[0].reason, detail))
        if given_up:
            self._publish(given_up)
        return given_up

    def _dead_letter(
        self, route: str, message: Message, data: bytes, reason: Reason, detail: str
    ) -> DeadLetter:
        return DeadLetter(
            message=message,
            data=data,
            reason=reason,
            detail=detail,
            stage=f"writer/{route}",
            source_topic=TOPOLOGY.topics[route].id,
        )

    def _publish(self, given_up: Sequence[DeadLetter]) -> None:
        now = self._now()
        self._publisher.publish(
            TOPOLOGY.topics[DEAD_LETTERS],
            [Outgoing(*letter.published(now)) for letter in given_up],
        )
