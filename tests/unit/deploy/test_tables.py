"""Tables in the usual terminal: what tells rows apart is whole."""

import pytest
from rich.console import Console

from pmpctl.collector import show_results
from pmpctl.dead_letters.reconciliation import show
from pmpctl.dead_letters.replay import letters_table


@pytest.fixture
def terminal():
    return Console(width=80, record=True)


def test_a_collection_names_its_feeds(terminal):
    result = {"system": "velib", "outcome": "published", "stations": 1500, "bytes": 812_345}
    result |= {"message_id": "16637501616397770", "feed_ts": "2026-01-24T12:00:00Z", "detail": ""}
    feeds = ("station_status", "station_information")
    show_results([{**result, "feed": feed} for feed in feeds], terminal)
    shown = terminal.export_text()
    assert all(word in shown for word in (*feeds, "published", "1500"))


def test_a_dead_letter_has_its_time_reason_and_topic(terminal):
    letter = {"dead_lettered_ts": "2026-01-24T12:00:00Z", "reason": "timestamp_out_of_range"}
    letter |= {
        "source_topic": "pmp-sensor-events",
        "replay_count": 0,
        "data_bytes": 97,
        "detail": "year 9999",
    }
    terminal.print(letters_table([letter]))
    shown = terminal.export_text()
    assert all(w in shown for w in ("2026-01-24 12:00:00", "timestamp_out_of_range", "pmp-sensor-events"))


def test_a_reconciliation_has_all_its_numbers(terminal):
    numbers = {"published": 1_440, "rows": 1_437, "dead_letters": 1, "duplicates": 12, "surplus": 3}
    hour = {"topic": "pmp-sensor-events", "hour": "2026-01-24T12:00:00Z", "status": "missing", "missing": 2}
    show({"hours": [{**hour, **numbers}], "missing": 2, "since": "x"}, terminal)
    (row,) = [line for line in terminal.export_text().splitlines() if "01-24" in line]
    assert row.split() == [
        "pmp-sensor-events", "01-24", "12:00", "1,440", "1,437", "1", "12", "2", "3", "missing",
    ]  # fmt: skip
