"""What the demo shows of the tables and views, in columns that fit a terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A few rows.

    Attributes:
        source: table or view id.
        rest: what follows the source in the statement.
    """

    title: str
    source: str
    columns: str
    rest: str = ""


EXHIBITS: Final = (
    Exhibit(
        "feed_snapshots: feed bodies as they came",
        "feed_snapshots",
        "system_id, event_type, FORMAT_TIMESTAMP('%F %T', event_ts) AS event_ts, station_count",
        "ORDER BY event_ts DESC",
    ),
    Exhibit(
        "feed_polls: what the curation made of them",
        "feed_polls",
        "FORMAT_TIMESTAMP('%F %H:%M', feed_ts) AS feed_ts, verdict, stations, changed, bikes, empty_stations AS empty",
        "ORDER BY feed_ts DESC",
    ),
    Exhibit(
        "latest_state_enriched: the stations with most bikes",
        "latest_state_enriched",
        "name, bikes, docks, ebikes, ROUND(occupancy, 2) AS occupancy",
        "ORDER BY bikes DESC, station_id",
    ),
    Exhibit(
        "totals_hourly_local: the city by its own hours",
        "totals_hourly_local",
        "FORMAT_DATETIME('%F %H:00', local_hour) AS local_hour, polls, min_bikes, max_bikes, changes",
        "ORDER BY local_hour DESC",
    ),
    Exhibit(
        "raw_events: derived rides",
        "raw_events",
        "station_id, SUM(IF(kind = 'pickup', delta, 0)) AS taken, SUM(IF(kind = 'dropoff', delta, 0)) AS brought",
        "WHERE source = 'derived' GROUP BY station_id ORDER BY SUM(delta) DESC, station_id",
    ),
    Exhibit(
        "station_features: the busiest stations of 24 hours",
        "station_features_latest",
        "city_id, station_id, MAX(IF(feature_name = 'pickup_count' AND window_len = '24h', value, NULL)) AS pickups, "
        "MAX(IF(feature_name = 'dropoff_count' AND window_len = '24h', value, NULL)) AS dropoffs, "
        "ROUND(MAX(IF(feature_name = 'city_share', value, NULL)), 4) AS city_share",
        "GROUP BY city_id, station_id ORDER BY pickups DESC, station_id",
    ),
    Exhibit(
        "feature_runs: how they were computed",
        "feature_runs",
        "run_id, engine, executor, status, rows_",
    ),
    Exhibit(
        "raw_events: simulated sensors",
        "raw_events",
        "event_id, station_id, FORMAT_TIMESTAMP('%F %T', ts_iso) AS ts_iso, kind, delta",
        "WHERE source = 'simulator'",
    ),
    Exhibit(
        "events: what the services did",
        "events",
        "type, FORMAT_TIMESTAMP('%T', time) AS time, TO_JSON_STRING(data) AS data",
        "ORDER BY time",
    ),
)


def rows_table(exhibit: Exhibit, rows: list[dict[str, Any]]) -> Table:
    """The rows of an exhibit."""
    shown = Table(title=exhibit.title, title_justify="left")
    for column in rows[0] if rows else ():
        shown.add_column(column, overflow="ellipsis", no_wrap=True, max_width=46)
    for row in rows:
        shown.add_row(*(escape(str(value)) for value in row.values()))
    return shown


def counts_table(counts: Mapping[str, int], ages_s: Mapping[str, float | None]) -> Table:
    """Rows and the age of the newest one, by table."""
    shown = Table(title="BigQuery", title_justify="left")
    shown.add_column("table")
    shown.add_column("rows", justify="right")
    shown.add_column("newest row", justify="right")
    for table, count in counts.items():
        age = ages_s[table]
        shown.add_row(table, f"{count:,}", "-" if age is None else f"{age:.1f} s ago")
    return shown
