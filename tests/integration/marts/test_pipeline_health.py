"""The pipeline's health: one row per system and per topic."""

from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.integration

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)


def polled(marts, at, outcome="published", feed="station_status", **columns):
    data = {"system": marts.system, "feed": feed, "outcome": outcome}
    return {"type": "feed.polled", "subject": marts.system, "time": at, "data": data} | columns


def checked(marts, at, **found):
    data = {"hours": 24, "since": f"{at - DAY:%FT%TZ}", "until": f"{at:%FT%TZ}"} | found
    return {"type": "reconciliation.checked", "subject": marts.system, "time": at, "data": data}


def health(marts, scope, name):
    (row,) = marts.view("pipeline_health", which=f"scope = '{scope}' AND name = '{name}'")
    return row


def test_a_system_has_its_ages_and_the_counts_of_24_hours(marts):
    marts.insert(
        "feed_snapshots",
        {"ingest_ts": NOW, "attributes": {"ce-cityid": "paris", "ce-timezone": "Europe/Paris"}},
    )
    marts.insert(
        "station_information",
        *({"station_id": f"s-{n}", "feed_ts": NOW, "ingest_ts": NOW} for n in range(10)),
    )
    newest = {"feed_ts": NOW - 3 * MINUTE, "ingest_ts": NOW - 2 * MINUTE, "event_id": "e-1", "stations": 8}
    marts.insert(
        "feed_polls",
        newest,
        newest | {"ingest_ts": NOW - MINUTE},
        {"feed_ts": NOW - 5 * HOUR, "stations": 10},
        {"feed_ts": NOW - 2 * DAY},
        {"feed_ts": NOW - 2 * MINUTE, "verdict": "suspect", "stations": 0},
        {"feed_ts": NOW - 2 * DAY, "verdict": "suspect"},
        {"feed_ts": NOW - 2 * DAY, "ingest_ts": NOW - HOUR, "verdict": "out_of_order"},
        {"feed_ts": NOW - 4 * HOUR, "verdict": "out_of_order"},
        {"feed_ts": NOW - 4 * HOUR, "verdict": "unchanged"},
    )
    marts.insert(
        "events",
        polled(marts, NOW - 2 * MINUTE, event_id="p-1"),
        polled(marts, NOW - 2 * MINUTE, event_id="p-1"),
        polled(marts, NOW - MINUTE, "failed"),
        polled(marts, NOW - 3 * MINUTE, "unchanged"),
        polled(marts, NOW, feed="station_information"),
        polled(marts, NOW - 2 * DAY, "failed"),
    )
    marts.insert(
        "dead_letters",
        *({"dead_letter_id": "d-1", "reason": "schema", "dead_lettered_ts": NOW - HOUR} for _ in range(2)),
        {"dead_letter_id": "d-2", "reason": "schema", "dead_lettered_ts": NOW - 2 * HOUR},
        {"dead_letter_id": "d-3", "reason": "schema", "dead_lettered_ts": NOW - 25 * HOUR},
    )
    row = health(marts, "system", marts.system)
    feed_age_s, poll_age_s = row.pop("feed_age_s"), row.pop("poll_age_s")
    assert row == {
        "scope": "system",
        "name": marts.system,
        "city_id": "paris",
        "newest_feed_ts": NOW - 3 * MINUTE,
        "last_poll_ts": NOW - MINUTE,
        "polls_24h": 3,
        "failed_polls_24h": 1,
        "accepted_24h": 2,
        "suspect_24h": 1,
        "out_of_order_24h": 2,
        "stations_reporting": 8,
        "stations_known": 10,
        "coverage_ratio": 0.8,
        "dead_letters_24h": 2,
        "reconciled_until": None,
        "missing_messages": None,
        "surplus_messages": None,
    }
    assert poll_age_s >= 60
    assert feed_age_s - poll_age_s == 120


def test_a_system_whose_feed_has_been_frozen_for_months_shows_its_age(marts):
    marts.insert("feed_polls", {"feed_ts": NOW - 200 * DAY, "stations": 3})
    marts.insert("events", polled(marts, NOW - MINUTE, "unchanged"))
    row = health(marts, "system", marts.system)
    assert (row["newest_feed_ts"], row["stations_reporting"]) == (NOW - 200 * DAY, 3)
    assert (row["polls_24h"], row["accepted_24h"], row["coverage_ratio"]) == (1, 0, None)


def test_a_system_that_only_fails_is_a_row_of_its_own(marts):
    marts.insert("events", polled(marts, NOW - MINUTE, "failed"))
    row = health(marts, "system", marts.system)
    assert (row["newest_feed_ts"], row["feed_age_s"], row["failed_polls_24h"]) == (None, None, 1)
    assert (row["dead_letters_24h"], row["city_id"]) == (0, None)


def test_a_topic_has_the_verdict_of_its_last_reconciliation_and_its_dead_letters(marts):
    letter = {"reason": "schema", "dead_lettered_ts": NOW, "system_id": None, "source_topic": marts.system}
    marts.insert("dead_letters", *(letter | {"dead_letter_id": f"{marts.system}-{n}"} for n in range(2)))
    marts.insert(
        "events",
        checked(marts, NOW - HOUR, missing=2, surplus=1),
        checked(marts, NOW - 7 * HOUR, missing=9, surplus=9),
        checked(marts, NOW - 8 * DAY, missing=7, surplus=7),
    )
    row = health(marts, "topic", marts.system)
    given = {name: value for name, value in row.items() if value is not None}
    assert given == {
        "scope": "topic",
        "name": marts.system,
        "dead_letters_24h": 2,
        "reconciled_until": NOW - HOUR,
        "missing_messages": 2,
        "surplus_messages": 1,
    }
