"""What the demo shows of the tables and views, in columns that fit a terminal."""

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table

from pmpctl.terminal import cell

EXHIBITS: Final = {
    "snapshots": "feed_snapshots: feed bodies as they were collected",
    "polls": "feed_polls: their validation and what changed",
    "fullest_stations": "latest_state_enriched: the stations with the most bikes",
    "hours": "totals_hourly_local: the city by its own hours",
    "rides": "raw_events: bikes of derived rides",
    "features": "station_features: the stations with the most pickups (events) in 24 hours",
    "feature_runs": "feature_runs: how they were computed",
    "sensors": "raw_events: simulated sensors",
    "events": "events: what the services did",
}
"""Titles by the name of the query in sql/."""


def exhibit_table(title: str, rows: list[dict[str, Any]]) -> Table:
    """The rows of an exhibit."""
    shown = Table(title=title, title_justify="left")
    for column in rows[0] if rows else ():
        shown.add_column(column, overflow="ellipsis", no_wrap=True, max_width=46)
    for row in rows:
        shown.add_row(*(cell(value) for value in row.values()))
    return shown


def counts_table(counts: Mapping[str, tuple[int, float | None]]) -> Table:
    """Args:
    counts: rows, and the age of the newest one in seconds, by table.
    """
    shown = Table(title="BigQuery", title_justify="left")
    shown.add_column("table")
    shown.add_column("rows", justify="right")
    shown.add_column("newest row", justify="right")
    for table, (count, age) in counts.items():
        shown.add_row(table, f"{count:,}", "-" if age is None else f"{age:.1f} s ago")
    return shown
