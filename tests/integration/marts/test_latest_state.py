"""The latest state: the newest row of each station, and its information."""

from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.integration

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
ENRICHED = (
    "has_information",
    "name",
    "capacity",
    "occupancy",
    "occupancy_by_capacity",
    "is_empty",
    "is_full",
)


def status(station, at, bikes=5, docks=15, **columns):
    return {"station_id": station, "feed_ts": at, "bikes": bikes, "docks": docks} | columns


def states(marts, view="latest_state", columns=("feed_ts", "bikes")):
    rows = marts.view(view, f"station_id, {', '.join(columns)}")
    return {row["station_id"]: tuple(row[column] for column in columns) for row in rows}


def test_a_stations_newest_row_is_its_state(marts):
    row = {
        "station_id": "s-1",
        "feed_ts": NOW - 3 * MINUTE,
        "ingest_ts": NOW - 2 * MINUTE,
        "reported_ts": NOW - 4 * MINUTE,
        "bikes": 5,
        "docks": 15,
        "mechanical": 3,
        "ebikes": 2,
        "other_vehicles": 0,
        "bikes_disabled": 1,
        "is_installed": True,
        "is_renting": True,
        "is_returning": False,
        "change": "flags",
        "quality": ["over_capacity"],
        "event_id": "e-1",
    }
    marts.insert("station_status", status("s-1", NOW - 8 * MINUTE), row, status("s-1", NOW - DAY))
    marts.insert("feed_polls", {"feed_ts": NOW - MINUTE}, {"feed_ts": NOW, "verdict": "suspect"})
    began = datetime.now(UTC)
    (found,) = marts.view("latest_state")
    ended = datetime.now(UTC)
    age_s, feed_age_s = found.pop("age_s"), found.pop("feed_age_s")
    assert found == {
        "system_id": marts.system,
        **row,
        "newest_feed_ts": NOW - MINUTE,
        "is_reporting": True,
    }
    assert int((began - row["feed_ts"]).total_seconds()) <= age_s <= (ended - row["feed_ts"]).total_seconds()
    assert age_s - feed_age_s == 120


def test_rows_that_come_twice_or_late_change_nothing(marts):
    marts.insert(
        "station_status",
        status("s-1", NOW - 5 * MINUTE, 7, ingest_ts=NOW),
        status("s-1", NOW - 5 * MINUTE, 7, ingest_ts=NOW - MINUTE),
        status("s-2", NOW - 6 * MINUTE, 8),
    )
    before = {"s-1": (NOW - 5 * MINUTE, 7), "s-2": (NOW - 6 * MINUTE, 8)}
    assert states(marts) == before
    marts.insert("station_status", status("s-1", NOW - 2 * HOUR, 1, ingest_ts=NOW + MINUTE))
    assert states(marts) == before
    marts.insert("station_status", status("s-2", NOW - 4 * MINUTE, 9))
    assert states(marts) == before | {"s-2": (NOW - 4 * MINUTE, 9)}


def test_a_station_that_left_the_feed_stays_for_three_days_and_reports_no_more(marts):
    marts.insert(
        "station_status",
        status("here", NOW - 119 * MINUTE),
        status("gone", NOW - 121 * MINUTE),
        status("long-gone", NOW - 3 * DAY - HOUR),
    )
    marts.insert("feed_polls", {"feed_ts": NOW, "verdict": "suspect"})
    columns = ("newest_feed_ts", "feed_age_s", "is_reporting")
    assert states(marts, columns=columns) == dict.fromkeys(("here", "gone"), (None, None, None))
    marts.insert("feed_polls", {"feed_ts": NOW})
    assert states(marts, columns=("is_reporting",)) == {"here": (True,), "gone": (False,)}


def test_the_state_is_enriched_with_the_newest_information(marts):
    marts.insert(
        "feed_snapshots",
        {"ingest_ts": NOW, "attributes": {"ce-cityid": "paris", "ce-timezone": "Europe/Paris"}},
    )
    place = {"station_id": "s-1", "lat": 48.85, "lon": 2.35, "station_code": "1001", "region_id": "r"}
    marts.insert(
        "station_information",
        place | {"feed_ts": NOW - DAY, "ingest_ts": NOW, "name": "Old", "capacity": 10, "address": "a"},
        place | {"feed_ts": NOW, "ingest_ts": NOW, "name": "Châtelet", "capacity": 25, "address": "b"},
    )
    marts.insert("station_status", status("s-1", NOW - MINUTE, 5, 15))
    marts.insert("feed_polls", {"feed_ts": NOW})
    (state,) = marts.view("latest_state", "* EXCEPT (age_s, feed_age_s)")
    (found,) = marts.view("latest_state_enriched", "* EXCEPT (age_s, feed_age_s)")
    assert found == state | {
        "city_id": "paris",
        "timezone": "Europe/Paris",
        "has_information": True,
        "name": "Châtelet",
        "station_code": "1001",
        "lat": 48.85,
        "lon": 2.35,
        "capacity": 25,
        "address": "b",
        "region_id": "r",
        "occupancy": 0.25,
        "occupancy_by_capacity": 0.2,
        "is_closed": False,
        "is_empty": False,
        "is_full": False,
        "coverage_ratio": 1.0,
    }


def test_a_station_without_information_keeps_its_row(marts):
    marts.insert("station_status", status("s-1", NOW, 0, 4))
    assert states(marts, "latest_state_enriched", ENRICHED) == {
        "s-1": (False, None, None, 0.0, None, True, False)
    }
    places = states(marts, "latest_state_enriched", ("city_id", "timezone", "coverage_ratio"))
    assert places == {"s-1": ("unknown", "UTC", None)}


def test_ratios_and_flags_of_stations(marts):
    listed = {"feed_ts": NOW, "ingest_ts": NOW}
    marts.insert(
        "station_information",
        *({"station_id": name, "capacity": 0, **listed} for name in ("nothing", "no-docks")),
        {"station_id": "no-bikes", "capacity": 20, **listed},
        {"station_id": "overfull", "capacity": 20, **listed},
    )
    marts.insert(
        "station_status",
        status("nothing", NOW, 0, 0),
        status("no-docks", NOW, 5, None),
        status("no-bikes", NOW, None, 5),
        status("overfull", NOW, 30, 0),
        status("rents-nothing", NOW, 0, 0, is_renting=False),
        status("not-there", NOW, 0, 0, is_installed=False),
        status("takes-nothing", NOW, 0, 0, is_returning=False),
        status("open", NOW, 0, 0, is_installed=True, is_renting=True, is_returning=True),
    )
    columns = ("occupancy", "occupancy_by_capacity", "is_closed", "is_empty", "is_full")
    assert states(marts, "latest_state_enriched", columns) == {
        "nothing": (None, None, False, True, True),
        "no-docks": (None, None, False, False, None),
        "no-bikes": (None, None, False, None, False),
        "overfull": (1.0, 1.5, False, False, True),
        "rents-nothing": (None, None, True, False, False),
        "not-there": (None, None, True, False, False),
        "takes-nothing": (None, None, False, True, True),
        "open": (None, None, False, True, True),
    }


def test_coverage_counts_who_reports_among_who_is_known(marts):
    marts.insert("feed_snapshots", {"ingest_ts": NOW})
    marts.insert(
        "station_information",
        *({"station_id": f"s-{n}", "feed_ts": NOW, "ingest_ts": NOW} for n in range(4)),
    )
    marts.insert(
        "station_status", status("s-0", NOW), status("s-1", NOW - HOUR), status("s-2", NOW - 3 * HOUR)
    )
    marts.insert("feed_polls", {"feed_ts": NOW})
    assert states(marts, "latest_state_enriched", ("coverage_ratio",)) == dict.fromkeys(
        ("s-0", "s-1", "s-2"), (0.5,)
    )
