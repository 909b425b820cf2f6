"""Turns a fetched feed body into the Pub/Sub message that carries it."""

import gzip
from dataclasses import dataclass
from datetime import datetime

from pmp_collector.config import System
from pmp_collector.fetch import Fetched
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema import events, gbfs
from pmp_schema.dead_letters import truncate
from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.timestamps import format_timestamp


@dataclass(frozen=True, slots=True)
class SnapshotMessage:
    """Attributes:
    stations: length of the feed's station list, duplicates included.
    feed_at: the feed's own time, aware UTC.
    """

    message: Outgoing
    stations: int
    feed_at: datetime


def snapshot_message(system: System, *, event_type: str, fetched: Fetched, body: bytes) -> SnapshotMessage:
    """Builds the message; its data is compressed above 16 kB.

    Args:
        body: JSON without surrounding white space; it is embedded unchanged.

    Raises:
        PoisonMessage: the body is not a JSON object, or has no list of stations.
    """
    document = gbfs.decode(body)
    stations = gbfs.station_count(document)
    if stations is None:
        raise PoisonMessage(Reason.SCHEMA, "no list of stations in the body")
    feed_time = gbfs.feed_time(
        document, date_header=fetched.headers.get("date"), fetched_at=fetched.finished_at
    )
    event_id = events.snapshot_event_id(
        source=system.id, event_type=event_type, event_ts=feed_time.at, payload=body
    )
    attributes = (
        events.cloudevent_attributes(
            event_id=event_id, event_type=event_type, source=system.id, time=feed_time.at
        )
        | _place(system)
        | _provenance(fetched, feed_time.source)
    )
    data = events.encode_snapshot(
        source=system.id,
        event_type=event_type,
        payload=body,
        event_ts=feed_time.at,
        ingest_ts=fetched.finished_at,
    )
    if len(data) > events.GZIP_ABOVE_BYTES:
        data = gzip.compress(data, compresslevel=6, mtime=0)
        attributes["content-encoding"] = "gzip"
    return SnapshotMessage(Outgoing(data, attributes), stations, feed_time.at)


def _place(system: System) -> dict[str, str]:
    """Where the system is, as CloudEvents extension attributes; only what is configured."""
    given = {"ce-cityid": system.city_id, "ce-timezone": system.timezone}
    return {name: value for name, value in given.items() if value is not None}


def _provenance(fetched: Fetched, feed_time_source: str) -> dict[str, str]:
    """How and when the body was fetched, as message attributes."""
    given = {
        "feed-url": fetched.url,
        "feed-time-source": feed_time_source,
        "fetch-started": format_timestamp(fetched.started_at),
        "fetch-finished": format_timestamp(fetched.finished_at),
        "http-etag": fetched.headers.get("etag"),
        "http-last-modified": fetched.headers.get("last-modified"),
    }
    return {name: truncate(value) for name, value in given.items() if value}
