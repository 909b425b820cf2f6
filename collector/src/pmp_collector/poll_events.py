"""The collector's ops events: one per poll."""

import logging
from collections.abc import Sequence
from typing import Final

from pmp_collector.poll import PollResult
from pmp_runtime.pubsub.ops_events import ops_event
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema.errors import PublishFailed
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)

SOURCE: Final = TOPOLOGY.services["collector"].id


def publish_polls(publisher: Publisher, results: Sequence[PollResult]) -> None:
    """Publishes `feed.polled` for every poll.

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
