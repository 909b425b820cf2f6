"""Station features: what each one is, and the SQL that computes it.

All engines keep these rules, so they give the same rows:

Events
    There is one event for each (event_date, station_id, event_id): of the rows with `ingest_ts <= known_at`, the one
    with the smallest `ingest_ts`, then the smallest `message_id`. It is chosen first. Another delivery of the event may
    differ in time, kind, bikes or city, and is ignored; so a partition of raw_events is read as a whole before its
    times are compared with `as_of`.

Windows
    A window of length w is `(as_of - w, as_of]` on `ts_iso`; every slot is open at its older end and closed at its
    newer one. `all_time` is all events with `ts_iso <= as_of`. Times are UTC, to the microsecond.

Rows
    A station is a (city_id, station_id). It has rows if it has an event of any kind in the four weeks up to `as_of`.
    Without events, a count or a sum is 0; a mean, a maximum, a last time or a share has no row. Events after `as_of`,
    or ingested after `known_at`, have no influence: the same (as_of, known_at) always gives the same rows.

All time
    `station_daily_counts` has the events whose first ingestion was on a closed day. Its rows with
    `event_date < DATE(as_of)` and `first_ingest_date < open_from` are counted. The other events up to `as_of` are
    counted from raw_events: those of the day of `as_of`, and those first ingested on `open_from` or later. `open_from`
    is the day after the last one in the table, at most `DATE(known_at)`. The sum does not depend on it.
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
