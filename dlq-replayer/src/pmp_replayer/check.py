"""A reconciliation: the verdicts as they are now, and the check that tells them to whoever is not looking."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from pmp_replayer.reconciliation import (
    HOUR,
    Hour,
    Repeat,
    Status,
    Verdict,
    closed_until,
    floor_hour,
    judge,
)
from pmp_runtime.pubsub.publisher import Outgoing, Publisher, ops_event
from pmp_schema.errors import PublishFailed
from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)

CHECKED: Final = "reconciliation.checked"
OPS_EVENTS: Final = TOPOLOGY.topics["ops-events"]
# Operational events carry the counts; they are not counted themselves.
COUNTED: Final = tuple(topic.id for topic in TOPOLOGY.topics.values() if topic is not OPS_EVENTS)


class Source(Protocol):
    """Where the numbers come from.

    Raises:
        RetryableError: from each method; nobody answers.
    """

    def hours(self, since: datetime) -> list[Hour]: ...

    def repeats(self, since: datetime) -> list[Repeat]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found.

    Attributes:
        since: begin of the first hour.
        until: end of the last closed hour.
        verdicts: by topic and hour, those of open hours among them.
        repeats: None where they were not asked for.
    """

    since: datetime
    until: datetime
    verdicts: Sequence[Verdict]
    repeats: Sequence[Repeat] | None

    @property
    def closed(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.status is not Status.OPEN]

    @property
    def missing(self) -> int:
        """Messages of closed hours."""
        return sum(verdict.missing for verdict in self.closed)

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "since": format_timestamp(self.since),
            "missing": self.missing,
            "hours": [verdict.as_json() for verdict in self.verdicts],
        }
        if self.repeats is not None:
            told["repeats"] = [repeat.as_json() for repeat in self.repeats]
        return told


class Reconciliation:
    """Args:
    service: the service's id, the source of its operational events.
    """

    def __init__(self, source: Source, publisher: Publisher, *, service: str) -> None:
        self._source = source
        self._publisher = publisher
        self._service = service

    def look(self, since: datetime, now: datetime, *, ids: bool = False) -> Findings:
        """The hours from the one of `since` on; leaves no trace.

        Args:
            ids: also list what came twice.

        Raises:
            RetryableError: BigQuery does not answer.
        """
        first = floor_hour(since)
        # One hour more: its last messages may have been counted in the first hour that is told.
        verdicts = [v for v in judge(self._source.hours(first - HOUR), now) if v.hour.hour >= first]
        return Findings(
            since=first,
            until=max(first, closed_until(now)),
            verdicts=verdicts,
            repeats=self._source.repeats(first) if ids else None,
        )

    def check(self, since: datetime, now: datetime, *, ids: bool = False) -> Findings:
        """As `look`; logs each closed hour that lacks messages and announces a verdict for each topic.

        Raises:
            RetryableError: BigQuery does not answer.
        """
        found = self.look(since, now, ids=ids)
        for verdict in found.closed:
            if verdict.missing:
                hour = verdict.hour
                fields = {
                    "topic": hour.topic,
                    "hour": format_timestamp(hour.hour),
                    "missing": verdict.missing,
                }
                logger.error("messages.missing", extra=fields)
        try:
            self._publisher.publish(OPS_EVENTS, self._events(found))
        except PublishFailed as error:  # whoever asked still gets the verdict
            logger.error("verdicts.unpublished", extra={"cause": str(error)})
        return found

    def _events(self, found: Findings) -> list[Outgoing]:
        """One for each topic, a silent one too: the last event of a topic is its state."""
        topics = sorted({*COUNTED, *(verdict.hour.topic for verdict in found.closed)})
        by_topic = {topic: [v for v in found.closed if v.hour.topic == topic] for topic in topics}
        return [
            ops_event(
                CHECKED,
                source=self._service,
                subject=topic,
                data={
                    "hours": len(verdicts),
                    "missing": sum(verdict.missing for verdict in verdicts),
                    "surplus": sum(verdict.surplus for verdict in verdicts),
                    "since": format_timestamp(found.since),
                    "until": format_timestamp(found.until),
                },
            )
            for topic, verdicts in by_topic.items()
        ]
