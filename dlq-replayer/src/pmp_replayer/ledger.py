"""The audit of a run: operational events that name the request, every letter that was replayed, and the result."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pmp_replayer.decision import Ready
from pmp_replayer.report import audit
from pmp_runtime.pubsub.publisher import Publisher, ops_event
from pmp_schema.errors import PublishFailed
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)

STARTED = "replay.started"
LETTERS = "replay.letters"
FINISHED = "replay.finished"


class Ledger:
    """The events of one run.

    Args:
        source: the service's id, the events' source.
    """

    def __init__(self, publisher: Publisher, *, source: str, replay_id: str) -> None:
        self._publisher = publisher
        self._source = source
        self._replay_id = replay_id

    def started(self, request: Mapping[str, Any]) -> None:
        """Raises:
        PublishFailed: the run must not begin without its trace.
        """
        self._publish(STARTED, {"request": request})

    def replayed(self, done: Sequence[Ready]) -> None:
        """Names letters that are published and acknowledged: a run of the table leaves them out from then on.

        Raises:
            PublishFailed: the run must not go on without its trace.
        """
        fixed = [audit(ready) for ready in done if ready.changes]
        self._publish(LETTERS, {"dead_letter_ids": [ready.letter.id for ready in done], "fixed": fixed})

    def finished(self, report: Mapping[str, Any]) -> None:
        """Everything is done by now: where this cannot be published, the log has the report."""
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
