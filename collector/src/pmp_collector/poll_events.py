"""The collector's ops events: one per poll, and the counts of published messages."""

import logging
from collections.abc import Sequence
from typing import Final

from pmp_collector.poll import PollResult
from pmp_runtime.pubsub.publisher import PubSubPublisher, announce_counts, ops_event
from pmp_schema.errors import PublishFailed
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)

SOURCE: Final = TOPOLOGY.services["collector"].id


def publish_polls(publisher: PubSubPublisher, results: Sequence[PollResult]) -> None:
    """Publishes `feed.polled` for every poll, then the counts since the last call.

    The event is the only record of an unchanged or failed poll. If it cannot be published, that is only logged: the
    polls are done, and repeating them would not help.
    """
    polls = [
        ops_event("feed.polled", source=SOURCE, subject=result.system, data=result.as_json())
        for result in results
    ]
    try:
        publisher.publish(TOPOLOGY.topics["ops-events"], polls)
    except PublishFailed as error:
        logger.warning("polls.unannounced", extra={"cause": str(error), "polls": len(polls)})
        return  # the counts use the same topic; they wait for the next call
    announce_counts(publisher, SOURCE)
