"""What the collector tells about itself: every poll, and how much it has published."""

import logging
from collections.abc import Sequence
from typing import Final

from pmp_collector.poll import PollResult
from pmp_runtime.pubsub.publisher import PubSubPublisher, announce_counts, ops_event
from pmp_schema.errors import PublishFailed
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)

SOURCE: Final = TOPOLOGY.services["collector"].id


def announce(publisher: PubSubPublisher, results: Sequence[PollResult]) -> None:
    """Publishes `feed.polled` for every poll, then what was counted since the last call.

    An unchanged or failed poll leaves no other trace than its event. A failure is logged: the polls themselves
    are done, and a caller that repeated them would change nothing.
    """
    polls = [
        ops_event("feed.polled", source=SOURCE, subject=result.system, data=result.as_json())
        for result in results
    ]
    try:
        publisher.publish(TOPOLOGY.topics["ops-events"], polls)
    except PublishFailed as error:
        logger.warning("polls.unannounced", extra={"cause": str(error), "polls": len(polls)})
        return  # the counts go the same way; they wait for the next call
    announce_counts(publisher, SOURCE)
