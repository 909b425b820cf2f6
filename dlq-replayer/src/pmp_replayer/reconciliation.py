"""Reconciliation: reads what arrived in each hour from the views, judges it, publishes the verdicts."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from google.cloud import bigquery

from pmp_replayer.verdicts import HOUR, Hour, Status, Verdict, closed_until, floor_hour, judge
from pmp_runtime.bigquery.queries import Queries
from pmp_runtime.pubsub.ops_events import ops_event
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema.errors import PublishFailed
from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)

CHECKED: Final = "reconciliation.checked"
OPS_EVENTS: Final = TOPOLOGY.topics["ops-events"]
# Ops events carry the counts; they are not counted themselves.
COUNTED: Final = tuple(topic.id for topic in TOPOLOGY.topics.values() if topic is not OPS_EVENTS)
MAX_REPEATS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A message that arrived more than once, or whose event had been published before.

    Attributes:
        event: id of the event; for sensor events date/station/id.
        deliveries: how often it became rows.
        published_again: an earlier message carries the same event.
    """

    topic: str
    publish_ts: datetime
    message_id: str
    event: str
    deliveries: int
    published_again: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"publish_ts": format_timestamp(self.publish_ts)}


class Arrivals:
    """The views `reconciliation` and `arrivals`. Every method raises `RetryableError` when BigQuery does not answer.

    Args:
        timeout_s: seconds for one call, retries included; a query is at least two calls.
    """

    def __init__(self, client: bigquery.Client, *, timeout_s: float) -> None:
        self._queries = Queries(client, __package__, timeout_s=timeout_s)

    def hours(self, since: datetime) -> list[Hour]:
        return [Hour(**row) for row in self._queries.rows("hours", since=("TIMESTAMP", since))]

    def repeats(self, since: datetime) -> list[Repeat]:
        """The newest 1,000, newest first."""
        rows = self._queries.rows("repeats", since=("TIMESTAMP", since), limit=("INT64", MAX_REPEATS))
        return [Repeat(**row) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Attributes:
    since: start of the first hour.
    until: end of the last closed hour.
    verdicts: by topic and hour, open hours included.
    repeats: None unless requested.
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
        """Missing messages of all closed hours."""
        return sum(verdict.missing for verdict in self.closed)

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "since": format_timestamp(self.since),
            "missing": self.missing,
            "hours": [verdict.as_json() for verdict in self.verdicts],
        }
        if self.repeats is not None:
            found["repeats"] = [repeat.as_json() for repeat in self.repeats]
        return found


class Reconciliation:
    """Args:
    service: the service's id, source of the ops events.
    """

    def __init__(self, arrivals: Arrivals, publisher: Publisher, *, service: str) -> None:
        self._arrivals = arrivals
        self._publisher = publisher
        self._service = service

    def look(self, since: datetime, now: datetime, *, ids: bool = False) -> Findings:
        """Judges the hours from the one that contains `since`; logs and publishes nothing.

        Args:
            ids: also list repeats.

        Raises:
            RetryableError: BigQuery does not answer.
        """
        first = floor_hour(since)
        # One hour more: its last messages may have been counted in the first hour.
        verdicts = [v for v in judge(self._arrivals.hours(first - HOUR), now) if v.hour.hour >= first]
        return Findings(
            since=first,
            until=max(first, closed_until(now)),
            verdicts=verdicts,
            repeats=self._arrivals.repeats(first) if ids else None,
        )

    def check(self, since: datetime, now: datetime, *, ids: bool = False) -> Findings:
        """Like `look`; also logs each closed hour that lacks messages, and publishes a verdict per topic.

        Raises:
            RetryableError: BigQuery does not answer.
        """
        found = self.look(since, now, ids=ids)
        for verdict in found.closed:
            if verdict.missing:
                at = format_timestamp(verdict.hour.hour)
                fields = {"topic": verdict.hour.topic, "hour": at, "missing": verdict.missing}
                logger.error("messages.missing", extra=fields)
        try:
            self._publisher.publish(OPS_EVENTS, self._events(found))
        except PublishFailed as error:  # the caller still gets the verdict
            logger.error("verdicts.unpublished", extra={"cause": str(error)})
        return found

    def _events(self, found: Findings) -> list[Outgoing]:
        """One per topic, even without messages: the last event of a topic is its state."""
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
