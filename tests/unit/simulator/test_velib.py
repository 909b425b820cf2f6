"""The dialect: every quirk of Vélib's open data that breaks a naive reader."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest

from pmp_simulator import velib
from pmp_simulator.city import City
from pmp_simulator.heartbeat import Heartbeat

START = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
INT32_MAX = 2**31 - 1


@pytest.fixture(scope="module")
def city() -> City:
    return City(seed=7, start_at=START, stations=1400)


@pytest.fixture(scope="module")
def status(city) -> dict:
    return json.loads(velib.station_status(city, Heartbeat(seed=7, start_at=START, stations=1400)))


@pytest.fixture(scope="module")
def information(city) -> dict:
    return json.loads(velib.station_information(city))


def test_every_document_has_velibs_envelope(city, status, information):
    others = [velib.system_information(START), velib.discovery("http://h", START)]
    for document in (status, information, *map(json.loads, others)):
        assert list(document) == ["lastUpdatedOther", "ttl", "data"]
        assert (document["lastUpdatedOther"], document["ttl"]) == (int(START.timestamp()), 3600)
    about = json.loads(others[0])["data"]
    assert (about["url"], about["timezone"]) == ("", "Europe/Paris")


def test_a_status_row_has_velibs_fields_in_velibs_order(status):
    assert {tuple(row) for row in status["data"]["stations"]} == {
        (
            *("station_id", "num_bikes_available", "numBikesAvailable", "num_bikes_available_types"),
            *("num_docks_available", "numDocksAvailable", "is_installed", "is_returning", "is_renting"),
            *("last_reported", "stationCode", "station_opening_hours"),
        )
    }


def test_counts_stand_twice_and_types_are_one_key_objects(status):
    for row in status["data"]["stations"]:
        mechanical, ebike = row["num_bikes_available_types"]
        assert row["num_bikes_available"] == row["numBikesAvailable"]
        assert row["num_docks_available"] == row["numDocksAvailable"]
        assert (list(mechanical), list(ebike)) == (["mechanical"], ["ebike"])
        assert mechanical["mechanical"] + ebike["ebike"] == row["num_bikes_available"]


def test_flags_are_integers_and_a_few_stations_are_closed_or_gone(status):
    flags = Counter(
        (row["is_installed"], row["is_renting"], row["is_returning"]) for row in status["data"]["stations"]
    )
    assert flags == {(1, 1, 1): 1370, (1, 0, 0): 20, (0, 0, 0): 10}
    assert {type(value) for row in flags for value in row} == {int}


def test_ids_are_integers_and_one_in_seven_exceeds_int32(status):
    ids = [row["station_id"] for row in status["data"]["stations"]]
    assert {type(id_) for id_ in ids} == {int}
    assert len(set(ids)) == 1400
    assert 0.12 <= sum(id_ > INT32_MAX for id_ in ids) / 1400 <= 0.16


def test_information_and_status_list_the_same_stations(status, information):
    for row, about in zip(status["data"]["stations"], information["data"]["stations"], strict=True):
        assert (row["station_id"], row["stationCode"]) == (about["station_id"], about["stationCode"])
    assert len({row["stationCode"] for row in information["data"]["stations"]}) == 1400


def test_information_has_its_gaps(information):
    rows = information["data"]["stations"]
    assert 4 <= sum(row["capacity"] == 0 for row in rows) <= 16
    assert {row["station_opening_hours"] for row in rows} == {None}
    assert 0.5 < sum(row.get("rental_methods") == ["CREDITCARD"] for row in rows) / 1400 < 0.65


def test_bikes_and_docks_do_not_always_add_up_to_the_capacity(status, information):
    gaps = Counter(
        about["capacity"] - row["num_bikes_available"] - row["num_docks_available"]
        for row, about in zip(status["data"]["stations"], information["data"]["stations"], strict=True)
    )
    assert gaps[0] > gaps[1] > gaps[2] > 0
    assert 5 <= sum(count for gap, count in gaps.items() if gap < 0) <= 30


def test_the_body_is_about_as_large_as_the_real_one(city):
    body = velib.station_status(city, Heartbeat(seed=7, start_at=START, stations=1400))
    assert 400_000 < len(body) < 480_000


def test_discovery_names_absolute_urls_of_its_own_host():
    feeds = json.loads(velib.discovery("http://h:1", START))["data"]["en"]["feeds"]
    assert {feed["name"]: feed["url"] for feed in feeds} == {
        "gbfs": "http://h:1/gbfs.json",
        "system_information": "http://h:1/system_information.json",
        "station_information": "http://h:1/station_information.json",
        "station_status": "http://h:1/station_status.json",
    }


def reports(minutes: int) -> list[int]:
    return Heartbeat(seed=3, start_at=START, stations=1400).reported(START + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("minute", "youngest_s", "oldest_s"), [(0, 900, 2580), (10, 900, 2580), (26, 900, 2580), (500, 900, 4500)]
)
def test_there_is_one_burst_at_any_time_and_it_is_never_fresh(minute, youngest_s, oldest_s):
    found = reports(minute)
    age_s = START.timestamp() + minute * 60 - max(found)
    assert youngest_s <= age_s <= oldest_s
    assert 9 * 60 <= max(found) - min(found) <= 25 * 60


def test_a_station_reports_once_an_hour():
    steps = [after - before for before, after in zip(reports(0), reports(60), strict=True)]
    assert 3300 <= median(steps) <= 3900


def test_a_few_reports_go_back_by_up_to_605_seconds():
    steps = [
        after - before
        for minute in range(5, 55)
        for before, after in zip(reports(minute), reports(minute + 1), strict=True)
        if after < before
    ]
    assert 10 <= len(steps) <= 60
    assert min(steps) >= -605


def test_counts_move_while_last_reported_stands_still():
    city, beat = City(seed=7, start_at=START, stations=1400), Heartbeat(seed=7, start_at=START, stations=1400)
    before = {row["station_id"]: row for row in _rows(city, beat)}
    city.advance_to(START + timedelta(minutes=20))
    changed = [
        row["last_reported"] == before[row["station_id"]]["last_reported"]
        for row in _rows(city, beat)
        if row["num_bikes_available"] != before[row["station_id"]]["num_bikes_available"]
    ]
    assert len(changed) > 300
    assert sum(changed) / len(changed) > 0.84


def _rows(city: City, beat: Heartbeat) -> list[dict]:
    return json.loads(velib.station_status(city, beat))["data"]["stations"]
