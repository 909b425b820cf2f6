"""The dashboard's questions on the BigQuery emulator, over a small city."""

from datetime import UTC, datetime

import pytest

from pmp_dashboard.marts import Marts
from pmp_runtime.bigquery.queries import BigQueryUnavailable, query_client
from tests.integration.dashboard.conftest import DAY, HOUR, MINUTE, NEWEST, NOW

pytestmark = pytest.mark.integration

A = {"station_id": "a", "name": "Bastille", "lat": 48.85, "lon": 2.37, "capacity": 20}
B = {"station_id": "b", "name": "<b>Nation</b>", "lat": 48.84, "lon": 2.39, "capacity": 10}


def stand(station, at, bikes, docks, **columns):
    return {"station_id": station, "feed_ts": at, "bikes": bikes, "docks": docks} | columns


def flow(pickups, dropoffs):
    rides = {"pickups": pickups, "dropoffs": dropoffs, "net": dropoffs - pickups}
    return {"since_ts": NEWEST - 30 * MINUTE, "until_ts": NEWEST} | rides


def columns(answer, *names):
    return {row["station_id"]: tuple(row[name] for name in names) for row in answer["stations"]}


def test_a_stations_row_has_everything_that_the_page_shows(city):
    city.known(A)
    city.polled({"feed_ts": NEWEST})
    counts = {"bikes": 5, "docks": 14, "mechanical": 3, "ebikes": 2, "other_vehicles": None}
    city.stood({"station_id": "a", "feed_ts": NEWEST, "quality": ["over_capacity"]} | counts)
    answer = city.asked.stations(city.system())
    assert abs(answer.pop("generated_ts") - datetime.now(UTC)) < HOUR
    no = dict.fromkeys(("is_closed", "is_empty", "is_full", "may_be_longer"), False)
    unknown = dict.fromkeys(("reported_ts", "empty_since_ts", "full_since_ts"))
    station = {**A, **counts, **no, **unknown, "feed_ts": NEWEST, "is_reporting": True, "net_flow": 0}
    nothing = dict.fromkeys(("empty", "full", "closed"), 0)
    reporting = {"stations_reporting": 1, "stations_known": 1, "coverage_ratio": 1.0}
    assert answer == {
        "system_id": city.id,
        "city_id": f"city-{city.id}",
        "timezone": "Europe/Paris",
        "newest_feed_ts": NEWEST,
        "summary": {**counts, **nothing, **reporting},
        "flow": flow(0, 0),
        "stations": [station | {"occupancy": pytest.approx(5 / 19), "quality": ["over_capacity"]}],
    }


def test_a_station_is_empty_or_full_since_the_first_row_after_its_last_other_one(city):
    city.known(A, B)
    city.polled({"feed_ts": NEWEST})
    city.stood(
        stand("emptied", NEWEST - 5 * HOUR, 0, 20),
        stand("emptied", NEWEST - 4 * HOUR, 2, 18),
        stand("emptied", NEWEST - 3 * HOUR, 0, 20),
        stand("emptied", NEWEST - 2 * HOUR, 0, 20, change="heartbeat"),
        stand("emptied", NEWEST - HOUR, 0, 20, change="heartbeat"),
        stand("filled", NEWEST - 2 * HOUR, 9, 1),
        stand("filled", NEWEST - HOUR, 10, 0),
        stand("always", NEWEST - 2 * HOUR, 0, 20),
        stand("always", NEWEST - HOUR, 0, 20),
        stand("again", NEWEST - 2 * HOUR, 0, 20),
        stand("again", NEWEST - HOUR, 1, 19),
        stand("closed", NEWEST - HOUR, 0, 0, is_renting=False),
    )
    answer = city.asked.stations(city.system())
    assert columns(answer, "empty_since_ts", "full_since_ts", "may_be_longer") == {
        "again": (None, None, False),
        "always": (NEWEST - 2 * HOUR, None, True),
        "closed": (None, None, False),
        "emptied": (NEWEST - 3 * HOUR, None, False),
        "filled": (None, NEWEST - HOUR, False),
    }
    counted = {name: answer["summary"][name] for name in ("empty", "full", "closed", "coverage_ratio")}
    assert counted == {"empty": 2, "full": 1, "closed": 1, "coverage_ratio": 2.5}


def test_the_net_flow_counts_derived_rides_of_the_last_half_hour_once(city):
    city.known(A, B)
    city.polled({"feed_ts": NEWEST})
    city.stood(stand("a", NEWEST, 5, 15), stand("b", NEWEST, 5, 5))
    ride = {"station_id": "a", "ts_iso": NEWEST, "delta": 3, "event_id": "r-1"}
    city.rode(
        ride,
        ride | {"ingest_ts": NOW + MINUTE},
        {"station_id": "a", "ts_iso": NEWEST - 29 * MINUTE, "kind": "dropoff", "delta": 1},
        {"station_id": "a", "ts_iso": NEWEST - 30 * MINUTE, "delta": 50},
        {"station_id": "a", "ts_iso": NEWEST + MINUTE, "delta": 50},
        {"station_id": "a", "ts_iso": NEWEST, "delta": 50, "source": "sensor"},
        {"station_id": "a", "ts_iso": NEWEST, "delta": 50, "city_id": "elsewhere"},
        {"station_id": "b", "ts_iso": NEWEST, "kind": "dropoff", "delta": 4},
        {"station_id": "of another system", "ts_iso": NEWEST, "delta": 50},
    )
    answer = city.asked.stations(city.system())
    assert columns(answer, "net_flow") == {"a": (-2,), "b": (4,)}
    assert answer["flow"] == flow(3, 5)


def test_totals_are_those_of_the_hours_before_the_newest_feed_time(city):
    newest = datetime(2026, 1, 24, 22, 28, tzinfo=UTC)
    city.known(A)
    city.polled(
        {"feed_ts": newest, "bikes": 100, "docks": 50, "empty_stations": 1, "full_stations": 0},
        {"feed_ts": newest - 10 * MINUTE, "bikes": 110, "docks": 40, "empty_stations": 0, "full_stations": 1},
        {"feed_ts": newest - 2 * HOUR, "bikes": 90, "docks": 60},
        {"feed_ts": newest - 3 * HOUR, "bikes": 80, "docks": 70},
        {"feed_ts": newest - 30 * DAY, "bikes": 1, "docks": 1},
    )
    answer = city.asked.totals(city.system(), 3)
    assert (answer["newest_feed_ts"], answer["timezone"]) == (newest, "Europe/Paris")
    assert [(row["hour_ts"].hour, row["avg_bikes"]) for row in answer["hours"]] == [(20, 90.0), (22, 105.0)]
    numbers = {"avg_bikes": 105.0, "min_bikes": 100, "max_bikes": 110}
    numbers |= {"avg_docks": 45.0, "min_docks": 40, "max_docks": 50}
    numbers |= {"avg_empty_stations": 0.5, "avg_full_stations": 0.5, "coverage_ratio": 3.0, "polls": 2}
    assert answer["hours"][1] == {"hour_ts": newest.replace(minute=0), **numbers}


def test_an_old_capture_has_totals_and_history_and_no_present(city):
    newest = datetime(2026, 1, 24, 22, 28, tzinfo=UTC)
    city.known(A, feed_ts=newest)
    city.polled({"feed_ts": newest, "bikes": 5, "docks": 15})
    city.stood(stand("a", newest - HOUR, 5, 15), stand("a", newest - 2 * DAY, 9, 11))
    system = city.system()
    now = city.asked.stations(system)
    assert (now["stations"], now["flow"], now["newest_feed_ts"]) == ([], None, newest)
    assert now["summary"]["bikes"] is None
    assert city.asked.known(system)["a"]["name"] == "Bastille"
    history = city.asked.history(system, "a")["history"]
    assert [(row["feed_ts"], row["bikes"]) for row in history] == [(newest - HOUR, 5)]


def test_a_station_has_its_history_once_and_its_features(city):
    city.known(A)
    city.polled({"feed_ts": NEWEST})
    row = stand("a", NEWEST - HOUR, 5, 15, event_id="s-1")
    city.stood(row, row | {"ingest_ts": NOW}, stand("a", NEWEST, 4, 16), stand("b", NEWEST, 1, 1))
    feature = {"city_id": f"city-{city.id}", "station_id": "a", "feature_name": "pickup_count"}
    at = {"as_of": NEWEST, "event_date": f"{NEWEST:%Y-%m-%d}"}
    before = {"as_of": NEWEST - HOUR, "event_date": f"{NEWEST - HOUR:%Y-%m-%d}"}
    city.tables.insert(
        "station_features",
        feature | at | {"window_len": "30m", "value": 7.0},
        feature | at | {"window_len": "2h", "value": 9.0},
        feature | before | {"window_len": "24h", "value": 99.0},
        feature | at | {"station_id": "b", "window_len": "30m", "value": 1.0},
    )
    system = city.system()
    answer = city.asked.history(system, "a")
    assert answer["station_id"] == "a"
    assert [(row["feed_ts"], row["bikes"]) for row in answer["history"]] == [(NEWEST - HOUR, 5), (NEWEST, 4)]
    assert city.asked.history(system, "a'; DROP TABLE x --")["history"] == []  # an id is a value
    values = {"pickup_count_30m": 7.0, "pickup_count_2h": 9.0}
    everyone = city.asked.features(system)
    assert (everyone["as_of"], everyone["features"]) == (
        NEWEST,
        {"a": values, "b": {"pickup_count_30m": 1.0}},
    )


def test_stations_are_known_by_their_information_or_by_a_row_of_three_days(city):
    city.known(A | {"station_code": "11001"}, B)
    city.polled({"feed_ts": NEWEST})
    city.stood(
        stand("a", NEWEST, 5, 15),
        stand("without information", NEWEST - 3 * DAY + MINUTE, 1, 1),
        stand("gone", NEWEST - 3 * DAY, 1, 1),
    )
    none = {"station_code": None, "address": None, "region_id": None}
    assert city.asked.known(city.system()) == {
        "a": A | none | {"station_code": "11001"},
        "b": B | none,
        "without information": None,
    }


def test_health_has_a_row_per_system_and_topic(city):
    city.known(A)
    city.polled({"feed_ts": NEWEST}, {"feed_ts": NEWEST - MINUTE, "verdict": "suspect"})
    city.tables.insert(
        "dead_letters",
        {"dead_letter_id": "d", "reason": "schema", "dead_lettered_ts": NOW, "source_topic": f"t-{city.id}"},
    )
    health = city.asked.health()
    (system,) = [row for row in health["systems"] if row["system_id"] == city.id]
    ages = system.pop("feed_age_s"), system.pop("poll_age_s")
    assert ages[0] >= 60
    nothing = dict.fromkeys(("polls_24h", "failed_polls_24h", "out_of_order_24h"), 0)
    one = dict.fromkeys(("accepted_24h", "suspect_24h", "dead_letters_24h", "stations_known"), 1)
    assert system == nothing | one | {
        "system_id": city.id,
        "city_id": f"city-{city.id}",
        "timezone": "Europe/Paris",
        "newest_feed_ts": NEWEST,
        "last_poll_ts": None,
        "stations_reporting": 3,
        "coverage_ratio": 3.0,
    }
    (topic,) = [row for row in health["topics"] if row["topic"] == f"t-{city.id}"]
    unknown = dict.fromkeys(("reconciled_until_ts", "missing_messages", "surplus_messages"))
    assert topic == {"topic": f"t-{city.id}", "dead_letters_24h": 1, **unknown}


def test_a_warehouse_without_views_does_not_answer(warehouse):
    other = Marts(query_client("pmp-nowhere", warehouse._connection.API_BASE_URL), timeout_s=10)
    with pytest.raises(BigQueryUnavailable):
        other.ping()
    with pytest.raises(BigQueryUnavailable):
        other.health()
