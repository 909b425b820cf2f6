"""Messages of `pmp-events` as snapshots to curate."""

from dataclasses import dataclass
from datetime import datetime

from pmp_curation.core import Snapshot
from pmp_schema import events, snapshots
from pmp_schema.message import Message
from pmp_schema.timestamps import live_timestamp


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message with the snapshot that it carries."""

    message: Message
    snapshot: Snapshot
    envelope: events.SnapshotEnvelope


def system_of(message: Message) -> str | None:
    """The system whose stations a message tells about; None where it carries another feed.

    Raises:
        PoisonMessage: it carries no snapshot.
    """
    envelope = events.decode_snapshot(message.body())
    return envelope.source if envelope.event_type == events.STATION_STATUS else None


def arrival(message: Message, now: datetime) -> Arrival:
    """Reads a message of a station_status.

    Raises:
        PoisonMessage: it carries no snapshot.
    """
    opened = snapshots.open_snapshot(message, now)
    given, told = opened.envelope.ingest_ts, message.publish_ts or now
    return Arrival(
        message,
        Snapshot(
            system_id=opened.envelope.source,
            event_id=opened.event_id,
            feed_ts=opened.event_ts or told,
            feed_ts_source=message.attributes.get("feed-time-source")
            or ("event_ts" if opened.event_ts else "publish_ts"),
            ingest_ts=live_timestamp(given, now) if given else told,
            payload=opened.payload,
            city_id=message.attributes.get("ce-cityid", "unknown"),
        ),
        opened.envelope,
    )
