"""The input of the curation: one body of a station_status feed, and what its envelope tells about it."""

from dataclasses import dataclass
from datetime import datetime

from pmp_schema.timestamps import to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A station_status as it was fetched.

    Attributes:
        event_id: id of the snapshot; the same body of the same system and feed time always has the same.
        feed_ts: when the feed says its counts were true, aware.
        feed_ts_source: which of the feed's or the answer's fields gave it.
        ingest_ts: when it was fetched, aware. From the message, so that a redelivery gives the same rows.
        payload: the body, JSON of any GBFS version.
        city_id: city of the derived events.
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
