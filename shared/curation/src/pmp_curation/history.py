"""What BigQuery knows of a system's snapshots: where the curation stands, and what it has not seen."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from pmp_curation.core import DEFAULT_RULES, Rules, SystemState
from pmp_runtime.bigquery.queries import Queries
from pmp_schema import events
from pmp_schema.errors import Reason
from pmp_schema.message import Message
from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import TOPOLOGY

_Row = Mapping[str, Any]

END: Final = datetime(9999, 1, 1, tzinfo=UTC)
BEGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE_SNAPSHOTS: Final = 20  # of about half a megabyte each
_PAGE_ROWS: Final = 5000
# As long as Pub/Sub keeps a message: what comes again is known to a state that was built again as well.
_LATELY: Final = timedelta(seconds=TOPOLOGY.pull_subscription("snapshots").retention_s)
# A poll has its snapshot's feed time; where a message has none it may be that of another delivery.
_FEED_TIMES_DIFFER: Final = timedelta(days=1)
_ACCEPTED: Final = frozenset({"ok", "unchanged"})
_FETCHED: Final = "fetch-finished"  # the collector's attribute; the row has the time of its append
# Reasons of letters that hold a part of a snapshot; the snapshot itself may still have to be curated.
_OF_PARTS: Final = (Reason.STATION_INVALID, Reason.ROW_REJECTED, Reason.SCHEMA_DRIFT)


@dataclass(frozen=True, slots=True)
class Missing:
    """A snapshot that the raw table has and nobody has curated.

    Attributes:
        feed_ts: the feed's time, by which it is curated.
        ingest_ts: when its row was appended.
    """

    event_id: str
    feed_ts: datetime
    ingest_ts: datetime


class History(Protocol):
    """Raises:
    RetryableError: from each method, where BigQuery does not answer.
    """

    def systems(self, since: datetime) -> list[str]:
        """Systems of which snapshots were ingested."""

    def state(self, system_id: str) -> SystemState | None:
        """Where the curation stands; None where nothing was ever accepted."""

    def began(self, system_id: str) -> datetime | None:
        """Feed time of the first accepted snapshot."""

    def missing(
        self, system_id: str, *, since: datetime, after: datetime = BEGIN, until: datetime = END
    ) -> list[Missing]:
        """Snapshots without a poll row and without a dead letter of their own, in the feed's order.

        Args:
            since: time of ingestion.
            after: feed time, exclusive.
            until: feed time, inclusive.
        """

    def messages(self, system_id: str, snapshots: Sequence[Missing]) -> Iterator[Message]:
        """Snapshots as their messages were, in the feed's order."""


class BigQueryHistory:
    """The history as the tables have it.

    Args:
        bodies: of so many snapshots are asked for at a time.
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
        # All partitions are read only for a system that has been silent, or is a recording of long ago.
        last = self._last_polls(system_id, self._now() - _LATELY) or self._last_polls(system_id, BEGIN)
        if last is None:
            return None
        accepted, polls = last
        # Poll rows are written last: what a snapshot without one has left behind is made again, with the same ids.
        until: datetime = accepted["feed_ts"]
        rows = self._queries.rows(
            "last_station_rows",
            page_rows=_PAGE_ROWS,
            system_id=("STRING", system_id),
            since=("TIMESTAMP", until - self._rules.forget_after - timedelta(days=1)),
            until=("TIMESTAMP", until),
        )
        return SystemState.from_rows(system_id, rows, accepted, polls=polls, rules=self._rules)

    def began(self, system_id: str) -> datetime | None:
        (row,) = self._queries.rows("first_accepted_poll", system_id=("STRING", system_id))
        began: datetime | None = row["feed_ts"]
        return began

    def missing(
        self, system_id: str, *, since: datetime, after: datetime = BEGIN, until: datetime = END
    ) -> list[Missing]:
        rows = self._queries.rows(
            "ingested_snapshots",
            page_rows=_PAGE_ROWS,
            system_id=("STRING", system_id),
            since=("TIMESTAMP", since),
            after=("TIMESTAMP", after),
            until=("TIMESTAMP", until),
            reasons_of_parts=("STRING", " ".join(_OF_PARTS)),
        )
        ingested = [Missing(row["event_id"], row["feed_ts"], row["ingest_ts"]) for row in rows]
        curated = self._curated(system_id, [one.feed_ts for one in ingested])
        return [one for one in ingested if one.event_id not in curated]

    def messages(self, system_id: str, snapshots: Sequence[Missing]) -> Iterator[Message]:
        # Bodies are asked for by themselves: a day of them is a gigabyte, a day of ids some hundred kilobytes.
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

    def _last_polls(self, system_id: str, since: datetime) -> tuple[_Row, list[_Row]] | None:
        """The last accepted poll, and all of the last ones; None where none was accepted."""
        rows = self._queries.rows(
            "last_polls",
            page_rows=_PAGE_ROWS,
            system_id=("STRING", system_id),
            since=("TIMESTAMP", since),
            polls=("INT64", self._rules.remembered_events),
        )
        polls = [*rows]
        accepted = next((poll for poll in polls if poll["verdict"] in _ACCEPTED), None)
        return None if accepted is None else (accepted, polls)

    def _curated(self, system_id: str, feed_times: Sequence[datetime]) -> set[str]:
        """Of the snapshots at these times those with a poll row.

        Asked for by itself, because only bounds that are known before a query keep it from reading the polls of
        all time.
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
    """A row of `feed_snapshots` as the message that it came from; BigQuery may have spelled the payload anew."""
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
