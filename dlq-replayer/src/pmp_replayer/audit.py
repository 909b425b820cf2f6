"""The audit trail of a replay: ops events with the request, every replayed dead letter, and the report."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pmp_replayer.decision import Ready
from pmp_replayer.request import ReplayRequest
from pmp_runtime.pubsub.ops_events import ops_event
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema.errors import PublishFailed
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)

STARTED = "replay.started"
LETTERS = "replay.letters"
FINISHED = "replay.finished"


class Audit:
    """Args:
    source: the service's id, source of the ops events.
    """

    def __init__(self, publisher: Publisher, *, source: str, replay_id: str) -> None:
        self._publisher = publisher
        self._source = source
        self._replay_id = replay_id

    def started(self, request: ReplayRequest) -> None:
        """Raises:
        PublishFailed: the replay must not start without its audit trail.
        """
        self._publish(STARTED, {"request": msgspec.to_builtins(request)})

    def replayed(self, done: Sequence[Ready]) -> None:
        """Lists dead letters that are published and settled; replays from the table skip them from now on.

        Raises:
            PublishFailed: the replay must not go on without its audit trail.
        """
        fixed = [ready.changes_as_json() for ready in done if ready.changes]
        self._publish(LETTERS, {"dead_letter_ids": [ready.letter.id for ready in done], "fixed": fixed})

    def finished(self, report: Mapping[str, Any]) -> None:
        """A failure is only logged, with the report: the replay is over."""
        try:
            self._publish(FINISHED, report)
        except PublishFailed as error:
            logger.error("report.unpublished", extra={"cause": str(error), "report": dict(report)})

    def _publish(self, event_type: str, data: Mapping[str, Any]) -> None:
        event = ops_event(
            event_type,
            source=self._source,
            subject=self._replay_id,
            data={"replay_id": self._replay_id, **data},
        )
        self._publisher.publish(TOPOLOGY.topics["ops-events"], [event])
