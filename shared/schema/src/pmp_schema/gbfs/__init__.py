"""A tolerant model of GBFS 1.0 to 3.1: the fields that are present decide how a body is read, never its version.

`decode` reads a body, `feed_time` dates it, `feed_urls` reads gbfs.json, `flatten_status` and `flatten_information`
make rows. Specification: https://github.com/MobilityData/gbfs
"""

from pmp_schema.gbfs.discovery import feed_urls
from pmp_schema.gbfs.document import (
    Document,
    FeedTime,
    decode,
    decode_json,
    feed_time,
    may_exceed_depth,
    station_count,
)
from pmp_schema.gbfs.station_information import StationInformation, flatten_information
from pmp_schema.gbfs.station_list import FlatStation, Flattened, RejectedStation, flatten
from pmp_schema.gbfs.station_status import StationStatus, StatusReader, flatten_status

__all__ = [
    "Document",
    "FeedTime",
    "FlatStation",
    "Flattened",
    "RejectedStation",
    "StationInformation",
    "StationStatus",
    "StatusReader",
    "decode",
    "decode_json",
    "feed_time",
    "feed_urls",
    "flatten",
    "flatten_information",
    "flatten_status",
    "may_exceed_depth",
    "station_count",
]
