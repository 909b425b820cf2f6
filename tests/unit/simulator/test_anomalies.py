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


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (None, Answer(200, BODY)),
        (Kind.FROZEN, Answer(200, BODY)),
        (Kind.TRUNCATED, Answer(200, BODY[: len(BODY) * 3 // 5])),
        (Kind.TOO_MANY_REQUESTS, Answer(429, b'{"message":"Too Many Requests"}', retry_after_s=5)),
        (Kind.UNAVAILABLE, Answer(503, b"Service Unavailable", "text/plain", retry_after_s=5)),
    ],
)
def test_an_anomaly_changes_the_answer(kind, answer):
    assert apply(kind, BODY) == answer


@pytest.mark.parametrize(("kind", "rows"), [(Kind.EMPTY, []), (Kind.DUPLICATE_IDS, ROWS + ROWS[:20])])
def test_an_anomaly_of_the_stations_leaves_the_rest_valid_and_fresh(kind, rows):
    expected = json.loads(BODY) | {"data": {"stations": rows, "extra": 1}}
    assert json.loads(apply(kind, BODY).body) == expected


def test_a_page_comes_with_status_200():
    answer = apply(Kind.HTML, BODY)
    assert (answer.status, answer.content_type) == (200, "text/html; charset=utf-8")
    assert answer.body.startswith(b"<!DOCTYPE html>")


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
    anomalies.force("station_status", Kind.EMPTY, 5)
    anomalies.force("station_status", Kind.EMPTY, 0)
    assert anomalies.take("station_status", START) is Kind.HTML
