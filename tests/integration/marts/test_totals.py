"""Hourly totals: which snapshots count, once, and in which hour."""

from datetime import UTC, date, datetime, timedelta

import pytest

pytestmark = pytest.mark.integration

TEN = datetime(2026, 1, 24, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def poll(at, bikes=100, **columns):
    return {"feed_ts": at, "bikes": bikes, "stations": 10, "changed": 1} | columns


def placed(at, city_id=None, timezone=None):
    given = {"ce-cityid": city_id, "ce-timezone": timezone, "ce-type": "station_status_snapshot"}
    return {"ingest_ts": at, "attributes": {n: value for n, value in given.items() if value is not None}}


def local_hours(marts):
    columns = "local_hour, hour, polls, avg_bikes"
    rows = marts.view("totals_hourly_local", columns)
    found = [
        (f"{r['local_hour']:%d %H:%M}", f"{r['hour']:%d %H:%M}", r["polls"], r["avg_bikes"]) for r in rows
    ]
    return sorted(found, key=lambda row: row[1])


def test_a_snapshot_that_was_curated_again_is_one_poll(marts):
    counts = {
        "stations": 10,
        "changed": 3,
        "bikes": 100,
        "docks": 50,
        "empty_stations": 2,
        "full_stations": 1,
        "closed_stations": 0,
        "rejected_rows": 0,
    }
    for later in (5 * MINUTE, MINUTE, 90 * MINUTE):
        marts.insert("feed_polls", {"event_id": "e", "feed_ts": TEN, "ingest_ts": TEN + later, **counts})
    assert marts.view("feed_polls_unique") == [
        {
            "system_id": marts.system,
            "feed_ts": TEN,
            "event_id": "e",
            "ingest_ts": TEN + MINUTE,
            **counts,
            "curations": 3,
        }
    ]
    assert marts.view("totals_hourly", "polls, changes") == [{"polls": 1, "changes": 3}]


def test_an_hour_is_counted_over_its_accepted_snapshots(marts):
    marts.insert("feed_snapshots", placed(TEN, "paris", "Europe/Paris"))
    listed = {"feed_ts": TEN, "ingest_ts": datetime.now(UTC)}
    marts.insert("station_information", *({"station_id": f"s-{n}", **listed} for n in range(12)))
    marts.insert(
        "feed_polls",
        poll(TEN, 100, docks=50, empty_stations=2, full_stations=1, closed_stations=0, changed=9),
        poll(
            TEN + 20 * MINUTE, 80, docks=70, empty_stations=3, full_stations=0, closed_stations=1, stations=11
        ),
        poll(
            TEN + 59 * MINUTE, 90, docks=66, empty_stations=4, full_stations=2, closed_stations=2, stations=12
        ),
        poll(TEN + 30 * MINUTE, 0, docks=0, stations=0, verdict="suspect"),
        poll(TEN + 10 * MINUTE, 1, docks=1, verdict="out_of_order"),
        poll(TEN + 40 * MINUTE, 2, docks=2, verdict="unchanged"),
        poll(TEN - MINUTE, 7),
        poll(TEN + 60 * MINUTE, 8),
    )
    hour = next(row for row in marts.view("totals_hourly") if row["hour"] == TEN)
    assert hour == {
        "system_id": marts.system,
        "hour": TEN,
        "utc_date": date(2026, 1, 24),
        "polls": 3,
        "avg_bikes": 90.0,
        "min_bikes": 80,
        "max_bikes": 100,
        "avg_docks": 62.0,
        "min_docks": 50,
        "max_docks": 70,
        "avg_empty_stations": 3.0,
        "avg_full_stations": 1.0,
        "avg_closed_stations": 1.0,
        "avg_stations": 11.0,
        "changes": 11,
        "stations_known": 12,
        "coverage_ratio": pytest.approx(11 / 12),
    }
    hours = {row["hour"]: row["polls"] for row in marts.view("totals_hourly", "hour, polls")}
    assert hours == {TEN - 60 * MINUTE: 1, TEN: 3, TEN + 60 * MINUTE: 1}


def test_unknown_counts_are_no_zeros(marts):
    marts.insert(
        "feed_polls",
        poll(TEN, 60),
        poll(TEN + MINUTE, None, empty_stations=4),
        poll(TEN + 2 * MINUTE, 80, stations=None),
    )
    columns = "avg_bikes, min_bikes, avg_docks, max_docks, avg_empty_stations, avg_stations, coverage_ratio"
    assert marts.view("totals_hourly", columns) == [
        {
            "avg_bikes": 70.0,
            "min_bikes": 60,
            "avg_docks": None,
            "max_docks": None,
            "avg_empty_stations": 4.0,
            "avg_stations": 10.0,
            "coverage_ratio": None,
        }
    ]


def test_a_late_snapshot_counts_in_the_hour_of_its_feed_time(marts):
    marts.insert("feed_polls", poll(TEN, 100), poll(TEN + 180 * MINUTE, 50))
    assert marts.view("totals_hourly", "polls, avg_bikes, hour")[0].keys() == {"polls", "avg_bikes", "hour"}
    marts.insert("feed_polls", poll(TEN + 5 * MINUTE, 200) | {"ingest_ts": TEN + timedelta(hours=26)})
    totals = {row["hour"]: (row["polls"], row["avg_bikes"]) for row in marts.view("totals_hourly")}
    assert totals == {TEN: (2, 150.0), TEN + 180 * MINUTE: (1, 50.0)}
    assert local_hours(marts) == [("24 10:00", "24 10:00", 2, 150.0), ("24 13:00", "24 13:00", 1, 50.0)]


def test_only_the_newest_station_information_tells_how_many_stations_there_are(marts):
    old, new = TEN, TEN + timedelta(days=1)
    now = datetime.now(UTC)
    rows = [{"station_id": f"s-{n}", "feed_ts": old, "ingest_ts": now} for n in range(20)]
    rows += [{"station_id": f"s-{n}", "feed_ts": new, "ingest_ts": now} for n in range(8)] * 2
    marts.insert("station_information", *rows)
    marts.insert("feed_snapshots", placed(now))
    marts.insert("feed_polls", poll(TEN, stations=6))
    assert marts.view("systems", "stations_known") == [{"stations_known": 8}]
    assert marts.view("totals_hourly", "stations_known, coverage_ratio") == [
        {"stations_known": 8, "coverage_ratio": 0.75}
    ]


HALF_HOURS = [(30 * n, 10 * n) for n in range(6)]
KOLKATA = [(15, 10), (29, 20), (30, 60), (89, 80), (510, 5)]


@pytest.mark.parametrize(
    ("zone", "start", "polls", "hours"),
    [
        pytest.param(
            *("Europe/Paris", datetime(2026, 3, 29, tzinfo=UTC), HALF_HOURS),
            [
                ("29 01:00", "29 00:00", 2, 5.0),
                ("29 03:00", "29 01:00", 2, 25.0),
                ("29 04:00", "29 02:00", 2, 45.0),
            ],
            id="the hour that spring skips has no row",
        ),
        pytest.param(
            *("Europe/Paris", datetime(2026, 10, 25, tzinfo=UTC), HALF_HOURS),
            [
                ("25 02:00", "25 00:00", 2, 5.0),
                ("25 02:00", "25 01:00", 2, 25.0),
                ("25 03:00", "25 02:00", 2, 45.0),
            ],
            id="the hour that autumn repeats is two rows",
        ),
        pytest.param(
            *("Asia/Kolkata", TEN, KOLKATA),
            [
                ("24 15:00", "24 09:30", 2, 15.0),
                ("24 16:00", "24 10:30", 2, 70.0),
                ("25 00:00", "24 18:30", 1, 5.0),
            ],
            id="a zone with half hours has hours of its own",
        ),
        pytest.param(
            *("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 45, tzinfo=UTC), [(0, 10), (30, 30), (60, 50)]),
            [
                ("05 01:00", "04 14:00", 1, 10.0),
                ("05 01:00", "04 14:30", 1, 30.0),
                ("05 02:00", "04 15:30", 1, 50.0),
            ],
            id="a clock that is put back by half an hour",
        ),
        pytest.param(
            *("Europe/Oslo", datetime(2021, 7, 1, 22, 30, tzinfo=UTC), [(0, 100)]),
            [("02 00:00", "01 22:00", 1, 100.0)],
            id="a system that was last seen years ago",
        ),
    ],
)
def test_totals_of_local_hours(marts, zone, start, polls, hours):
    marts.insert("feed_snapshots", placed(start, "city", zone))
    marts.insert("feed_polls", *(poll(start + minutes * MINUTE, bikes) for minutes, bikes in polls))
    assert local_hours(marts) == hours


def test_a_system_that_names_no_zone_has_utc_hours_and_the_same_totals(marts):
    marts.insert("feed_snapshots", placed(TEN))
    marts.insert("feed_polls", poll(TEN, 10), poll(TEN + 59 * MINUTE, 30), poll(TEN + 60 * MINUTE, 50))
    (system,) = marts.view("systems")
    assert system == {
        "system_id": marts.system,
        "city_id": "unknown",
        "timezone": "UTC",
        "stations_known": None,
        "last_seen_ts": TEN,
    }
    same = "hour, polls, avg_bikes, min_docks, avg_stations, changes, coverage_ratio"
    by_hour = sorted(marts.view("totals_hourly", same), key=lambda row: row["hour"])
    assert sorted(marts.view("totals_hourly_local", same), key=lambda row: row["hour"]) == by_hour
    assert [row["polls"] for row in by_hour] == [2, 1]


def test_a_system_without_any_snapshot_kept_has_utc_hours(marts):
    marts.insert("feed_polls", poll(TEN, 10))
    assert marts.view("totals_hourly_local", "timezone, local_hour, hour") == [
        {"timezone": "UTC", "local_hour": TEN.replace(tzinfo=None), "hour": TEN}
    ]


@pytest.mark.parametrize("zone", ["Mars/Olympus_Mons", " ", "Europe/Paris; x"])
def test_a_zone_that_does_not_exist_disturbs_nobody(marts, zone):
    marts.insert("feed_snapshots", placed(TEN, "olympus", zone))
    marts.insert("feed_polls", poll(TEN, 10))
    assert marts.view("systems", "city_id, timezone") == [{"city_id": "olympus", "timezone": "UTC"}]
    assert local_hours(marts) == [("24 10:00", "24 10:00", 1, 10.0)]


def test_what_was_named_last_holds_and_what_names_nothing_changes_nothing(marts):
    marts.insert(
        "feed_snapshots",
        placed(TEN, "lutetia", "Europe/Rome"),
        placed(TEN + MINUTE, "paris", "Europe/Paris"),
        placed(TEN + 2 * MINUTE),
        placed(TEN + 2 * MINUTE, "", ""),
        {"ingest_ts": TEN + 3 * MINUTE, "attributes": None},
    )
    assert marts.view("systems", "city_id, timezone, last_seen_ts") == [
        {"city_id": "paris", "timezone": "Europe/Paris", "last_seen_ts": TEN + 3 * MINUTE}
    ]
