"""Which queries are run, and with which bounds; tests/integration/beam/test_history.py runs them."""

from datetime import UTC, datetime, timedelta

import pytest

from pmp_curation.history import BEGIN, BigQueryHistory

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class Asked:
    """Queries with prepared answers, by name."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def rows(self, name, *, page_rows, **parameters):
        self.asked.append((name, {key: value for key, (_, value) in parameters.items()}))
        return iter(self.answers.get(name, ()))


def snapshot(name, feed_ts):
    return {"event_id": name, "feed_ts": feed_ts, "ingest_ts": NOW}


def test_where_nothing_was_ingested_no_poll_is_read():
    queries = Asked()
    assert BigQueryHistory(queries).missing("velib", since=NOW) == []
    assert [name for name, _ in queries.asked] == ["ingested_snapshots"]


def test_polls_are_read_of_about_the_feed_times_of_what_was_ingested():
    ingested = [snapshot("e-1", NOW - 9 * DAY), snapshot("e-2", NOW - 2 * DAY), snapshot("e-3", NOW)]
    queries = Asked(ingested_snapshots=ingested, curated_snapshots=[{"event_id": "e-2"}])
    missing = BigQueryHistory(queries).missing("velib", since=NOW)
    assert [one.event_id for one in missing] == ["e-1", "e-3"]
    assert queries.asked[1] == (
        "curated_snapshots",
        {"system_id": "velib", "oldest": NOW - 10 * DAY, "newest": NOW + DAY},
    )


@pytest.mark.parametrize(("verdict", "since"), [("ok", [NOW - WEEK]), ("suspect", [NOW - WEEK, BEGIN])])
def test_polls_older_than_any_message_are_read_only_where_none_was_accepted_since(verdict, since):
    poll = {"feed_ts": NOW, "event_id": "e-1", "verdict": verdict, "stations": 1}
    queries = Asked(last_polls=[poll])
    BigQueryHistory(queries, now=lambda: NOW).state("velib")
    assert [asked["since"] for name, asked in queries.asked if name == "last_polls"] == since
