"""Anomalies: what they do to a body, and when they come."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from pmp_simulator.anomalies import Anomalies, Answer, Kind, Window, apply

START = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
ROWS = [{"station_id": n, "num_bikes_available": n} for n in range(40)]
BODY = json.dumps({"lastUpdatedOther": 1, "ttl": 3600, "data": {"stations": ROWS, "extra": 1}}).encode()


def minutes(anomalies: Anomalies, count: int) -> list[Kind | None]:
    return [anomalies.scheduled(START + timedelta(minutes=minute)) for minute in range(count)]


@pytest.mark.parametrize("kind", [None, Kind.FROZEN])
def test_the_body_passes_through(kind):
    assert apply(kind, BODY) == Answer(200, BODY)


def test_an_empty_blip_is_fresh_and_valid_but_without_stations():
    expected = json.loads(BODY) | {"data": {"stations": [], "extra": 1}}
    assert json.loads(apply(Kind.EMPTY, BODY).body) == expected


def test_duplicate_ids_repeat_the_first_rows():
    assert json.loads(apply(Kind.DUPLICATE_IDS, BODY).body)["data"]["stations"] == ROWS + ROWS[:20]


def test_a_truncated_body_is_no_json():
    answer = apply(Kind.TRUNCATED, BODY)
    assert answer.status == 200
    assert BODY.startswith(answer.body)
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.body)


def test_a_page_comes_with_status_200():
    answer = apply(Kind.HTML, BODY)
    assert (answer.status, answer.content_type) == (200, "text/html; charset=utf-8")
    assert answer.body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize(("kind", "status"), [(Kind.TOO_MANY_REQUESTS, 429), (Kind.UNAVAILABLE, 503)])
def test_a_refusal_says_when_to_come_back(kind, status):
    answer = apply(kind, BODY)
    assert (answer.status, answer.retry_after_s) == (status, 5)


def test_there_are_none_by_default():
    assert set(minutes(Anomalies(), 24 * 60)) == {None}


def test_the_schedule_depends_on_the_seed_alone():
    wild = Anomalies(rate_per_hour=2, seed=5)
    expected = minutes(wild, 600)
    assert [wild.scheduled(START + timedelta(minutes=m)) for m in reversed(range(600))] == expected[::-1]
    assert minutes(Anomalies(rate_per_hour=2, seed=5), 600) == expected
    assert minutes(Anomalies(rate_per_hour=2, seed=6), 600) != expected


def test_every_kind_comes_sooner_or_later_and_ordinary_days_prevail():
    found = Counter(minutes(Anomalies(rate_per_hour=2, seed=5), 5 * 24 * 60))
    assert set(found) == {*Kind, None}
    assert found[None] > found.total() / 2
    assert found[Kind.FROZEN] > found[Kind.EMPTY]


def test_a_window_holds_from_its_start_until_before_its_end():
    planned = Anomalies(windows=[Window(Kind.HTML, START, START + timedelta(minutes=2))])
    assert minutes(planned, 3) == [Kind.HTML, Kind.HTML, None]


def test_a_forced_anomaly_lasts_as_many_answers_of_that_feed_as_asked():
    anomalies = Anomalies(windows=[Window(Kind.HTML, START, START + timedelta(minutes=1))])
    anomalies.force("station_status", Kind.EMPTY, 2)
    assert anomalies.take("station_information", START) is Kind.HTML
    assert [anomalies.take("station_status", START) for _ in range(3)] == [Kind.EMPTY, Kind.EMPTY, Kind.HTML]


def test_a_forced_anomaly_can_be_taken_back():
    anomalies = Anomalies()
    anomalies.force("station_status", Kind.EMPTY, 5)
    anomalies.force("station_status", Kind.EMPTY, 0)
    assert anomalies.take("station_status", START) is None
