from datetime import timedelta

import pytest

from pmp_schema.features import (
    AGGREGATIONS,
    CatalogueError,
    Slot,
    catalogue,
    look_back,
    parse_catalogue,
)

ENTRY = """
[[features]]
name = "pickup_count"
aggregation = "events"
kind = "pickup"
windows = ["30m", "2h"]
description = "Pickups"
source = "a paper"
"""
PROMISED = {
    "pickup_count": "30m 2h 24h",
    "dropoff_count": "30m 2h 24h",
    "net_flow": "30m 2h",
    "pickup_lag": "24h 168h",
    **dict.fromkeys(
        ["turnover", "avg_delta_pickup", "max_abs_delta", "rebalancing_suspect", "city_share"], "24h"
    ),
    **dict.fromkeys(["minutes_since_last_pickup", "minutes_since_last_dropoff"], "168h"),
    **dict.fromkeys(["is_peak_station", "pickup_total"], "all_time"),
    "hour_of_week_baseline": "4w",
    "demand_z": "1h",
}


def test_the_catalogue_has_the_features_that_users_were_promised():
    promised = {(name, window) for name, windows in PROMISED.items() for window in windows.split()}
    assert {(feature.name, feature.window) for feature in catalogue()} >= promised


def test_an_entry_is_a_feature_per_window():
    first, second = parse_catalogue(ENTRY)
    assert (first.column, first.length) == ("pickup_count_30m", timedelta(minutes=30))
    assert (second.column, second.length) == ("pickup_count_2h", timedelta(hours=2))
    assert (first.aggregation, first.kind) == (AGGREGATIONS["events"], "pickup")
    assert second.reach.current == (Slot(timedelta(hours=2)),)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"events"', '"median"', "unknown aggregation 'median'"),
        ('"pickup"', '"theft"', "theft"),
        ('"pickup_count"', '"Pickup count"', "lower-case"),
        ('["30m", "2h"]', "[]", "no window"),
        ('"30m"', '"29m"', "30 minutes to 4 weeks"),
        ('"30m"', '"5w"', "30 minutes to 4 weeks"),
        ('"30m"', '"half an hour"', "a window is a number"),
        ('"30m"', '"030m"', "a window is a number"),
        ('"30m"', '"all_time"', "events does not count over it"),
        ('"30m"', '"120m"', "defined twice"),
        ('"events"', '"weekly_mean"', "too short for weekly_mean"),
        ('"events"', '"peak_station"', "peak_station does not count over it"),
        ('source = "a paper"', "", "source"),
        ('source = "a paper"', 'source = "a paper"\nunit = "bikes"', "unit"),
        ("[[features]]", "[[features", "line 2"),
        (ENTRY, ENTRY + ENTRY, "pickup_count: 30m: defined twice"),
    ],
)
def test_what_defines_no_feature_is_refused_with_its_reason(old, new, complaint):
    with pytest.raises(CatalogueError, match=complaint):
        parse_catalogue(ENTRY.replace(old, new))


def test_raw_events_are_read_as_far_back_as_the_oldest_slot():
    assert look_back(parse_catalogue(ENTRY)) == timedelta(weeks=4)
    assert look_back(catalogue()) == timedelta(weeks=4, hours=1)


def test_slots_of_lags_and_baselines_end_where_the_same_hour_ended():
    hour, week = timedelta(hours=1), timedelta(weeks=1)
    reach = {feature.column: feature.reach for feature in catalogue()}
    assert reach["pickup_lag_168h"].current == (Slot(week + hour, week),)
    weeks = tuple(Slot(k * week + hour, k * week) for k in (1, 2, 3, 4))
    assert reach["hour_of_week_baseline_4w"].baseline == weeks
    assert (reach["demand_z_1h"].current, reach["demand_z_1h"].baseline) == ((Slot(hour),), weeks)
