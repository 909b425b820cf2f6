"""A tolerant model of GBFS 1.0 to 3.1: what is read is decided by the fields present, never by the version.

`decode` reads a body, `feed_time` dates it, `feed_urls` reads gbfs.json, `flatten_status` and
`flatten_information` make rows. Specification: https://github.com/MobilityData/gbfs
"""

from pmp_schema.gbfs.discovery import feed_urls
from pmp_schema.gbfs.document import (
    Document,
    FeedTime,
    decode,
    decode_json,
    feed_time,
    from_object,
    station_count,
    stations,
)
from pmp_schema.gbfs.station_information import StationInformation, flatten_information
from pmp_schema.gbfs.station_list import FlatStation, Flattened, RejectedStation
from pmp_schema.gbfs.station_status import StationStatus, flatten_status
from pmp_schema.gbfs.vehicles import Kind, vehicle_kinds

__all__ = [
    "Document",
    "FeedTime",
    "FlatStation",
    "Flattened",
    "Kind",
    "RejectedStation",
    "StationInformation",
    "StationStatus",
    "decode",
    "decode_json",
    "feed_time",
    "feed_urls",
    "flatten_information",
    "flatten_status",
    "from_object",
    "station_count",
    "stations",
    "vehicle_kinds",
]
