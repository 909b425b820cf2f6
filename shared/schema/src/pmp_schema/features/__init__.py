"""Station features: what each one is, and the SQL that computes it.

The rules that every engine keeps, so that all of them give the same rows:

Events
    An event is one per (event_date, station_id, event_id): the row with the smallest `ingest_ts`, then the smallest
    `message_id`, of those with `ingest_ts <= known_at`. It is chosen before anything else is looked at. Another
    delivery of the event may differ in time, kind, bikes or city, and counts nowhere; so a partition of raw_events is
    read whole before its times are compared with `as_of`.

Windows
    A window of length w is `(as_of - w, as_of]` on `ts_iso`; every slot is open at its older end and closed at its
    newer one. `all_time` is every event with `ts_iso <= as_of`. Times are UTC, to the microsecond.

Rows
    A station is a (city_id, station_id). It has rows if it has at least one event, of any kind, in the four weeks up
    to `as_of`; a station that is silent for longer has none. A count or a sum of nothing is 0. A mean, a maximum, a
    last time or a share of nothing does not exist and has no row. Nothing that happened after `as_of`, or became known
    after `known_at`, has any influence: the same (as_of, known_at) always gives the same rows.

All time
    `station_daily_counts` holds the events whose first ingestion is on a day that is over. Of it counts
    `event_date < DATE(as_of)` and `first_ingest_date < open_from`; of raw_events counts every event up to `as_of` that
    is not among those: of the day of `as_of`, or first ingested on `open_from` or later. `open_from` is the day after
    the last one that the table holds, at most `DATE(known_at)`. Wherever it lies, the sum is the same.
"""

from pmp_schema.features.aggregations import AGGREGATIONS, LARGE_DELTA, PEAK_MIN_EVENTS, Reach, Slot
from pmp_schema.features.catalogue import (
    ACTIVE,
    CatalogueError,
    Feature,
    Kind,
    catalogue,
    look_back,
    parse_catalogue,
)
from pmp_schema.features.plan import StatementRunner, close_days, read_scope
from pmp_schema.features.scope import Scope, default_known_at, last_closed_date
from pmp_schema.features.statements import (
    FeatureTables,
    Parameter,
    Statement,
    count_station_features,
    feature_rows,
    merge_station_features,
    stage_features,
)

__all__ = [
    "ACTIVE",
    "AGGREGATIONS",
    "LARGE_DELTA",
    "PEAK_MIN_EVENTS",
    "CatalogueError",
    "Feature",
    "FeatureTables",
    "Kind",
    "Parameter",
    "Reach",
    "Scope",
    "Slot",
    "Statement",
    "StatementRunner",
    "catalogue",
    "close_days",
    "count_station_features",
    "default_known_at",
    "feature_rows",
    "last_closed_date",
    "look_back",
    "merge_station_features",
    "parse_catalogue",
    "read_scope",
    "stage_features",
]
