"""The inputs of the curation: one body of a station_status feed, and the rules."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pmp_schema.timestamps import to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A station_status as it was fetched.

    Attributes:
        event_id: id of the snapshot; the same body of the same system and feed time always has the same.
        feed_ts: when the feed says its counts were true, aware.
        feed_ts_source: the field of the feed or of the HTTP response that `feed_ts` comes from.
        ingest_ts: when it was fetched, aware. From the message, so that a redelivery gives the same rows.
        payload: the body, JSON of any GBFS version.
        city_id: city of the derived rides.
    """

    system_id: str
    event_id: str
    feed_ts: datetime
    feed_ts_source: str
    ingest_ts: datetime
    payload: bytes
    city_id: str = "unknown"

    @property
    def feed_us(self) -> int:
        return to_micros(self.feed_ts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The limits of the curation, all in feed time.

    Attributes:
        heartbeat: a station that did not change gets a row this long after its last one. It bounds how far a
            reader of the history has to look back.
        forget_after: a station whose last row is this old counts as never seen. A warm start looks back as far,
            so that a kept state and a rebuilt one decide alike.
        missing_share: a snapshot that lacks more than this share of the stations of the last accepted one is
            suspect.
        shrunk_for: non-empty snapshots that lack so many are accepted after this long. The measured blips are
            single polls; a city that closes a third of its stations is not a blip.
        remembered_events: how many snapshots are recognised when they come again: a day of minutes. An older
            one is out of order.
        max_absent: how many stations are remembered that the last accepted snapshot did not list.
    """

    heartbeat: timedelta = timedelta(minutes=60)
    forget_after: timedelta = timedelta(days=7)
    missing_share: float = 0.2
    shrunk_for: timedelta = timedelta(minutes=30)
    remembered_events: int = 1440
    max_absent: int = 5000


DEFAULT_RULES: Final = Rules()
