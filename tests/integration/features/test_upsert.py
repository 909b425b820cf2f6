"""The merge of a staging table into station_features, and of closed days into station_daily_counts."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from pmp_schema.features import (
    catalogue,
    close_days,
    feature_rows,
    merge_station_features,
    read_scope,
    stage_features,
)
from tests.fakes.feature_oracle import Event, expected_rows, scenario
from tests.fakes.feature_run import by_key, counts_by_key, raw_rows

pytestmark = pytest.mark.integration

AS_OF = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)


def row(station, value, feature="pickup_count", window="2h", as_of=AS_OF):
    return {
        "city_id": "c",
        "station_id": station,
        "feature_name": feature,
        "window_len": window,
        "value": value,
        "as_of": as_of,
        "event_date": as_of.date(),
    }


def merge(warehouse):
    warehouse.query(merge_station_features(warehouse.tables, staging=warehouse.staging, as_of=AS_OF))


def test_a_run_becomes_the_rows_of_its_as_of_and_only_of_it(warehouse):
    other = row("s1", 5.0, as_of=AS_OF - timedelta(minutes=30))
    before = [row("s1", 1.0), row("s1", 1.0, window="24h"), row("gone", 3.0), other]
    warehouse.insert("station_features", before)
    warehouse.insert(
        "staging", [row("s1", 2.0), row("s1", 1.0, window="24h"), row("new", 4.0), row("new", 4.0)]
    )
    expected = by_key_and_time([row("s1", 2.0), row("s1", 1.0, window="24h"), row("new", 4.0), other])
    for _ in range(2):
        merge(warehouse)
        assert by_key_and_time(warehouse.rows("station_features")) == expected


def by_key_and_time(rows):
    return sorted(tuple(row.values()) for row in rows)


def test_the_engines_rows_go_through_a_staging_table_into_the_features(warehouse):
    given = replace(scenario(1010), closings=[])
    warehouse.insert("raw_events", raw_rows(given.events))
    scope = read_scope(warehouse, warehouse.tables, catalogue(), as_of=given.as_of, known_at=given.known_at)
    rows = feature_rows(warehouse.tables, catalogue(), scope)
    staging = f"{warehouse.staging}_of_a_run"
    for _ in range(2):
        warehouse.query(stage_features(rows, staging=staging))
    warehouse.query(merge_station_features(warehouse.tables, staging=staging, as_of=given.as_of))
    stored = warehouse.rows("station_features")
    assert stored
    assert by_key(stored) == pytest.approx(
        expected_rows(given.events, given.as_of, given.known_at), rel=1e-9, abs=0
    )
    assert {(row["as_of"], row["event_date"]) for row in stored} == {(given.as_of, given.as_of.date())}


def event(n, ts, ingest_ts, **fields):
    plain = {"event_id": f"e-{n}", "city_id": "c", "station_id": "s", "kind": "pickup", "delta": 2}
    return Event(ts=ts, ingest_ts=ingest_ts, message_id=f"m-{n}", **(plain | fields))


def test_days_are_closed_once_and_late_events_are_rows_of_their_own(warehouse):
    first, second = date(2025, 11, 1), date(2025, 11, 2)
    at = datetime(2025, 11, 1, 12, tzinfo=UTC)
    day = timedelta(days=1)
    deliveries = [
        event(1, at, at),
        event(1, at, at + day),
        event(2, at, at + day),
        event(3, at, at + 2 * day),
    ]
    warehouse.insert("raw_events", raw_rows(deliveries))

    assert close_days(warehouse, warehouse.tables, through=first) == (first,)
    on_time = {("c", "s", "pickup", first, first): (1, 2)}
    assert counts_by_key(warehouse.rows("station_daily_counts")) == on_time
    assert close_days(warehouse, warehouse.tables, through=first) == ()

    assert close_days(warehouse, warehouse.tables, through=second) == (first,)
    late = {("c", "s", "pickup", first, second): (1, 2)}
    assert counts_by_key(warehouse.rows("station_daily_counts")) == on_time | late
    assert close_days(warehouse, warehouse.tables, through=first) == ()


def test_a_broken_sensors_number_stops_neither_the_features_nor_the_daily_counts(warehouse):
    largest = 2**63 - 1
    at = AS_OF - timedelta(days=3)
    deliveries = [event(1, at, at, delta=largest), event(2, at, at, delta=largest)]
    recent = [event(n, AS_OF, AS_OF, delta=largest, kind="dropoff") for n in (3, 4)]
    warehouse.insert("raw_events", raw_rows(deliveries + recent))
    close_days(warehouse, warehouse.tables, through=at.date())
    assert counts_by_key(warehouse.rows("station_daily_counts")) == {
        ("c", "s", "pickup", at.date(), at.date()): (2, None)
    }
    scope = read_scope(warehouse, warehouse.tables, catalogue(), as_of=AS_OF, known_at=AS_OF)
    rows = by_key(warehouse.query(feature_rows(warehouse.tables, catalogue(), scope)))
    assert rows["c", "s", "turnover", "24h"] == pytest.approx(2.0**64)
    assert rows["c", "s", "minutes_since_last_pickup", "168h"] == 3 * 24 * 60
