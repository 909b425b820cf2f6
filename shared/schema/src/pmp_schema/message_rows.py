"""Makes the rows of a message: where each column comes from.

The rows lack `ingest_ts`: it is set just before each attempt to append.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from threading import BoundedSemaphore
from typing import Any, Final

import msgspec

from pmp_schema import events, gbfs
from pmp_schema.dead_letter_row import dead_letter_row
from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.message import Message
from pmp_schema.snapshots import RejectedPart, receive_snapshot
from pmp_schema.tables import Row
from pmp_schema.timestamps import live_timestamp

LARGE_BYTES: Final = 1_000_000
_STATION_COLUMNS: Final = [name for name in gbfs.StationInformation.__struct_fields__ if name != "quality"]
MAX_STATIONS: Final = 50_000  # the largest systems have some thousands; a row is far larger than its JSON


@dataclass(frozen=True, slots=True)
class RowSet:
    """What one message becomes.

    Attributes:
        table: table id without dataset.
        rejected: parts that become dead letters of their own, one for each reason.
        part: the message data that holds only the given ones of `rows`.
    """

    table: str
    rows: list[Row]
    part: Callable[[Sequence[Row]], bytes]
    rejected: list[RejectedPart] = field(default_factory=list)


def sensor_event_rows(message: Message, now: datetime) -> RowSet:
    """A row of `raw_events`.

    Raises:
        PoisonMessage: the event can never be a row.
    """
    data = message.body()
    event = events.decode_sensor_event(data)
    at = live_timestamp(event.ts_iso, now)
    row: Row = {
        "event_id": event.event_id,
        "city_id": event.city_id or "unknown",
        "station_id": event.station_id,
        "ts_iso": at,
        "kind": event.kind,
        "delta": event.delta,
        "event_date": at.date(),
        "source": event.source or "sensor",
        "extra": event.extra,
        "message_id": message.message_id,
        "publish_ts": message.publish_ts,
    }
    return RowSet("raw_events", [row], part=lambda _: message.data)


def snapshot_rows(message: Message, now: datetime) -> RowSet:
    """A row of `feed_snapshots`; the payload is kept as it is, with or without stations.

    Raises:
        PoisonMessage: the envelope is missing or too large, or BigQuery could not store the payload as JSON.
    """
    received = receive_snapshot(message, now)
    envelope = received.envelope
    row: Row = {
        "event_id": received.event_id,
        "system_id": envelope.source,
        "event_type": envelope.event_type,
        "key": envelope.key,
        "source": envelope.source,
        "event_ts": received.event_ts,
        "payload": received.payload,
        "payload_sha256": hashlib.sha256(received.payload).hexdigest(),
        "station_count": gbfs.station_count(gbfs.decode(received.payload)),
        "message_id": message.message_id,
        "publish_ts": message.publish_ts,
        "attributes": msgspec.json.encode(dict(message.attributes)),
    }
    return RowSet("feed_snapshots", [row], part=lambda _: message.data)


def station_information_rows(message: Message, now: datetime) -> RowSet:
    """Rows of `station_information`, one per station; a bad station is rejected alone.

    Raises:
        PoisonMessage: the envelope is missing, or the list of stations is missing, empty or absurdly long.
    """
    received = receive_snapshot(message, now)
    event_type = received.envelope.event_type
    if event_type != events.STATION_INFORMATION:
        raise PoisonMessage(Reason.UNKNOWN_EVENT_TYPE, f"{event_type} is not {events.STATION_INFORMATION}")
    document = gbfs.decode(received.payload)
    entries = gbfs.station_count(document)
    if entries == 0:
        raise PoisonMessage(Reason.NO_STATIONS)  # the message would leave no row
    if entries is not None and entries > MAX_STATIONS:
        raise PoisonMessage(Reason.TOO_LARGE, f"{entries} stations")
    flat = gbfs.flatten_information(document)
    same = {
        "system_id": received.system_id,
        "feed_ts": received.event_ts,
        "event_id": received.event_id,
        "message_id": message.message_id,
        "publish_ts": message.publish_ts,
    }
    rows: list[Row] = [
        same | {name: getattr(station, name) for name in _STATION_COLUMNS} for station in flat.stations
    ]

    def part(some: Sequence[Row]) -> bytes:
        wanted = {row["station_id"] for row in some}
        found = gbfs.flatten(document, _raw_station).stations
        return received.with_stations([station.raw for station in found if station.station_id in wanted])

    return RowSet("station_information", rows, part, received.rejected_parts(flat.rejected))


def ops_event_rows(message: Message, now: datetime) -> RowSet:
    """A row of `events`.

    Raises:
        PoisonMessage: it is not a CloudEvent in JSON format.
    """
    event = events.decode_ops_event(message.body())
    row: Row = {
        "event_id": event.id,
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
        "time": live_timestamp(event.time, now) if event.time else (message.publish_ts or now),
        "data": bytes(event.data),
        "message_id": message.message_id,
        "publish_ts": message.publish_ts,
    }
    return RowSet("events", [row], part=lambda _: message.data)


def dead_letter_rows(message: Message, now: datetime) -> RowSet:
    """A row of `dead_letters`; never raises."""
    return RowSet("dead_letters", [dead_letter_row(message, now)], part=lambda _: message.data)


class _RawStation(gbfs.FlatStation, frozen=True, kw_only=True):
    raw: Any


def _raw_station(station_id: str, raw: dict[str, Any]) -> _RawStation:
    return _RawStation(station_id=station_id, raw=raw)


BY_ROUTE: Final[Mapping[str, Callable[[Message, datetime], RowSet]]] = {
    "snapshots": snapshot_rows,
    "station-information": station_information_rows,
    "sensor-events": sensor_event_rows,
    "ops-events": ops_event_rows,
    "dead-letters": dead_letter_rows,
}

# A megabyte of hostile JSON becomes 30 MB of Python objects, so few large messages are decoded at a time.
_LARGE: Final = BoundedSemaphore(2)


def build(route: str, message: Message, now: datetime) -> RowSet:
    """The rows of a message.

    Args:
        route: a key of BY_ROUTE.
        now: aware UTC.

    Raises:
        PoisonMessage: the message cannot become rows.
    """
    with _LARGE if _is_large(message) else nullcontext():
        return BY_ROUTE[route](message, now)


def _is_large(message: Message) -> bool:
    return len(message.data) > LARGE_BYTES or "content-encoding" in message.attributes
