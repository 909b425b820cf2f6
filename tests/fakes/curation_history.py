"""The tables of the curation in memory, and the messages that fill them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from pmp_curation.core import ACCEPTED, SystemState
from pmp_curation.curator import to_snapshot
from pmp_curation.history import END, Missing
from pmp_curation.outcomes import Outcome
from pmp_schema import events
from pmp_schema.message import Message
from pmp_schema.snapshots import receive_snapshot
from pmp_schema.timestamps import format_timestamp


def message(
    stations: Any,
    feed_ts: datetime,
    *,
    system: str = "velib",
    message_id: str | None = None,
    published_at: datetime | None = None,
) -> Message:
    """A snapshot as the collector publishes it, two seconds after the feed's own time."""
    published_at = published_at or feed_ts + timedelta(seconds=2)
    payload = msgspec.json.encode({"last_updated": feed_ts.timestamp(), "data": {"stations": stations}})
    return Message(
        data=events.encode_snapshot(
            source=system,
            event_type=events.STATION_STATUS,
            payload=payload,
            event_ts=feed_ts,
            ingest_ts=feed_ts + timedelta(seconds=1),
        ),
        message_id=message_id or f"m-{system}-{feed_ts.timestamp():.0f}",
        attributes={
            "ce-id": events.snapshot_event_id(
                source=system, event_type=events.STATION_STATUS, event_ts=feed_ts, payload=payload
            ),
            "ce-cityid": "paris",
            "feed-time-source": "last_updated",
            "fetch-finished": format_timestamp(feed_ts + timedelta(seconds=1)),
        },
        publish_ts=published_at,
        subscription="pmp-events-dataflow-sub",
    )


def bikes(**counts: Any) -> list[dict[str, Any]]:
    """Stations with so many bikes."""
    flags = {"is_installed": 1, "is_renting": 1, "is_returning": 1}
    return [
        {"station_id": name, "num_bikes_available": count, "num_docks_available": 9, **flags}
        for name, count in counts.items()
    ]


@dataclass
class CurationHistory:
    """What `pmp_curation.history.History` asks for.

    Attributes:
        raw: messages that the raw table has, with the time of their append.
        polls, status_rows: what was made durable.
        given_up: message ids with a dead letter of their own.
        asked: every call, by name.
        fail_with: raised instead of every answer.
    """

    raw: list[tuple[Message, datetime]] = field(default_factory=list)
    polls: list[dict[str, Any]] = field(default_factory=list)
    status_rows: list[dict[str, Any]] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    fail_with: Exception | None = None

    def store(self, *messages: Message, after: timedelta = timedelta(seconds=1)) -> None:
        """As the writer does, so long after the publish."""
        self.raw += [(one, one.publish_ts + after) for one in messages if one.publish_ts]

    def keep(self, outcomes: Iterator[Outcome]) -> list[Outcome]:
        """Makes outcomes durable; returns them."""
        kept = list(outcomes)
        for outcome in kept:
            self.status_rows += [dict(row) for row in outcome.status_rows]
            self.polls += [dict(row) for row in outcome.polls]
        return kept

    def systems(self, since: datetime) -> list[str]:
        self._ask("systems")
        return sorted({_snapshot(one).system_id for one, at in self.raw if at >= since})

    def state(self, system_id: str) -> SystemState | None:
        self._ask("state")
        polls = [row for row in self.polls if row["system_id"] == system_id]
        accepted = [row for row in polls if row["verdict"] in ACCEPTED]
        if not accepted:
            return None
        last = max(accepted, key=lambda row: row["feed_ts"])
        rows = [row for row in self.status_rows if row["feed_ts"] <= last["feed_ts"]]
        return SystemState.from_rows(system_id, rows, polls)

    def began(self, system_id: str) -> datetime | None:
        self._ask("began")
        accepted = [row for row in self.polls if row["verdict"] in ACCEPTED]
        return min((row["feed_ts"] for row in accepted), default=None)

    def missing(self, system_id: str, *, since: datetime, until: datetime = END) -> list[Missing]:
        self._ask("missing")
        curated = {row["event_id"] for row in self.polls}
        found = [
            Missing(one.event_id, one.feed_ts, at)
            for message, at in self.raw
            if at >= since and message.message_id not in self.given_up
            for one in (_snapshot(message),)
            if one.system_id == system_id and one.event_id not in curated and one.feed_ts <= until
        ]
        return sorted(found, key=lambda one: (one.feed_ts, one.event_id))

    def messages(self, system_id: str, snapshots: Sequence[Missing]) -> Iterator[Message]:
        self._ask("messages")
        by_id = {_snapshot(message).event_id: message for message, _ in self.raw}
        yield from (by_id[one.event_id] for one in snapshots)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.fail_with is not None:
            raise self.fail_with


def _snapshot(message: Message) -> Any:
    return to_snapshot(receive_snapshot(message, END), END)
