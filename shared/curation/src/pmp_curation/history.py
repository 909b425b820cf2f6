"""What the tables say about a system: the state of its curation, and the snapshots that are missing in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from pmp_curation.core import ACCEPTED, DEFAULT_RULES, Rules, SystemState
from pmp_runtime.bigquery.queries import Queries
from pmp_schema import events
from pmp_schema.errors import Reason
from pmp_schema.message import Message
from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import TOPOLOGY

END: Final = datetime(9999, 1, 1, tzinfo=UTC)
BEGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE_SNAPSHOTS: Final = 20  # of about half a megabyte each
_PAGE_ROWS: Final = 5000
# As long as Pub/Sub keeps a message, so that a rebuilt state also recognises redelivered snapshots.
_LATELY: Final = timedelta(seconds=TOPOLOGY.pull_subscription("snapshots").retention_s)
# A poll has the feed time of its snapshot. Without one in the message, it is the publish time, which may differ.
_FEED_TIMES_DIFFER: Final = timedelta(days=1)
_FETCHED: Final = "fetch-finished"  # set by the collector; the row has only the time of its append
# Reasons of dead letters with a part of a snapshot; the snapshot itself may still have to be curated.
_OF_PARTS: Final = (Reason.STATION_INVALID, Reason.ROW_REJECTED, Reason.SCHEMA_DRIFT)


@dataclass(frozen=True, slots=True)
class Missing:
    """A snapshot in the raw table that was not curated.

    Attributes:
        feed_ts: feed time; snapshots are curated in this order.
        ingest_ts: when its row was appended.
    """

    event_id: str
    feed_ts: datetime
    ingest_ts: datetime


class History(Protocol):
    """Raises:
    RetryableError: from each method, if BigQuery is unavailable.
    """

    def systems(self, since: datetime) -> list[str]:
        """Systems with snapshots that were ingested since then."""

    def state(self, system_id: str) -> SystemState | None:
        """The state after the last accepted snapshot; None if there is none."""

    def began(self, system_id: str) -> datetime | None:
        """Feed time of the first accepted snapshot."""

    def missing(self, system_id: str, *, since: datetime, until: datetime = END) -> list[Missing]:
        """Snapshots without a poll row and without a dead letter of their own, by feed time.

        Args:
            since: time of ingestion.
            until: feed time, inclusive.
        """

    def messages(self, system_id: str, snapshots: Sequence[Missing]) -> Iterator[Message]:
        """The messages of snapshots, by feed time."""


class BigQueryHistory:
    """The history from the tables in BigQuery.

    Args:
        bodies: number of snapshots whose bodies one query reads.
        now: aware UTC clock.
    """

    def __init__(
        self,
        queries: Queries,
        rules: Rules = DEFAULT_RULES,
        *,
        bodies: int = 500,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queries = queries
        self._rules = rules
        self._bodies = bodies
        self._now = now

    def systems(self, since: datetime) -> list[str]:
        return [row["system_id"] for row in self._queries.rows("polled_systems", since=("TIMESTAMP", since))]

    def state(self, system_id: str) -> SystemState | None:
        # All partitions are read only for a silent system, or for an old recording.
        polls = self._last_polls(system_id, self._now() - _LATELY) or self._last_polls(system_id, BEGIN)
        if not polls:
            return None
        # Poll rows are written last. Other rows of a snapshot without one are made again, with the same ids.
        until: datetime = max(poll["feed_ts"] for poll in polls if poll["verdict"] in ACCEPTED)
        rows = self._queries.rows(
            "last_station_rows",
            page_rows=_PAGE_ROWS,
            system_id=("STRING", system_id),
            since=("TIMESTAMP", until - self._rules.forget_after - timedelta(days=1)),
            until=("TIMESTAMP", until),
        )
        return SystemState.from_rows(system_id, rows, polls, rules=self._rules)

    def began(self, system_id: str) -> datetime | None:
        (row,) = self._queries.rows("first_accepted_poll", system_id=("STRING", system_id))
        began: datetime | None = row["feed_ts"]
        return began

    def missing(self, system_id: str, *, since: datetime, until: datetime = END) -> list[Missing]:
        rows = self._queries.rows(
            "ingested_snapshots",
            page_rows=_PAGE_ROWS,
            system_id=("STRING", system_id),
            since=("TIMESTAMP", since),
            until=("TIMESTAMP", until),
            reasons_of_parts=("STRING", " ".join(_OF_PARTS)),
        )
        ingested = [Missing(row["event_id"], row["feed_ts"], row["ingest_ts"]) for row in rows]
        curated = self._curated(system_id, [one.feed_ts for one in ingested])
        return [one for one in ingested if one.event_id not in curated]

    def messages(self, system_id: str, snapshots: Sequence[Missing]) -> Iterator[Message]:
        # Bodies are read separately: a day of them is a gigabyte, a day of ids some hundred kilobytes.
        for first in range(0, len(snapshots), self._bodies):
            asked = snapshots[first : first + self._bodies]
            rows = self._queries.rows(
                "snapshot_bodies",
                page_rows=_PAGE_SNAPSHOTS,
                system_id=("STRING", system_id),
                event_ids=("STRING", msgspec.json.encode([one.event_id for one in asked]).decode()),
                since=("TIMESTAMP", min(one.ingest_ts for one in asked)),
                until=("TIMESTAMP", max(one.ingest_ts for one in asked)),
            )
            yield from (_message(system_id, row) for row in rows)

    def _last_polls(self, system_id: str, since: datetime) -> list[Mapping[str, Any]]:
        """The last polls with the last accepted one among them; empty if no poll was accepted."""
        rows = self._queries.rows(
            "last_polls",
            page_rows=_PAGE_ROWS,
            system_id=("STRING", system_id),
            since=("TIMESTAMP", since),
            polls=("INT64", self._rules.remembered_events),
        )
        polls = [*rows]
        return polls if any(poll["verdict"] in ACCEPTED for poll in polls) else []

    def _curated(self, system_id: str, feed_times: Sequence[datetime]) -> set[str]:
        """Ids of the snapshots near these times that have a poll row.

        A query of its own, because only constant bounds prevent it from reading all partitions.
        """
        if not feed_times:
            return set()
        rows = self._queries.rows(
            "curated_snapshots",
            page_rows=_PAGE_ROWS,
            system_id=("STRING", system_id),
            oldest=("TIMESTAMP", min(feed_times) - _FEED_TIMES_DIFFER),
            newest=("TIMESTAMP", max(feed_times) + _FEED_TIMES_DIFFER),
        )
        return {row["event_id"] for row in rows}


def _message(system_id: str, row: Mapping[str, Any]) -> Message:
    """The message of a row of `feed_snapshots`; BigQuery may have reformatted the payload."""
    attributes: dict[str, str] = msgspec.json.decode(row["attributes"] or b"{}", type=dict[str, str])
    attributes.pop("content-encoding", None)
    envelope = {
        "ingest_ts": attributes.get(_FETCHED) or format_timestamp(row["ingest_ts"]),
        "event_ts": row["event_ts"] and format_timestamp(row["event_ts"]),
        "source": system_id,
        "event_type": events.STATION_STATUS,
        "key": row["key"],
        "payload": msgspec.Raw(row["payload"].encode()),
    }
    return Message(
        data=msgspec.json.encode(envelope),
        message_id=row["message_id"],
        attributes={**attributes, "ce-id": row["event_id"]},
        publish_ts=row["publish_ts"],
    )
