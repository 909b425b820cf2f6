"""Marts that answer from memory, record what they are asked and can be told to fail."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from pmp_dashboard.app import create_app

NEWEST = datetime(2026, 1, 24, 22, 28, tzinfo=UTC)
HEALTH = {
    "generated_ts": datetime(2026, 1, 24, 22, 30, tzinfo=UTC),
    "systems": [
        {
            "system_id": "velib",
            "city_id": "paris",
            "timezone": "Europe/Paris",
            "newest_feed_ts": NEWEST,
            "stations_known": 3,
        }
    ],
    "topics": [],
}
KNOWN = {"1": {"name": "Bastille"}, "a é/b": None} | {str(number): None for number in range(2, 200)}


@dataclass
class RecordingMarts:
    """Attributes:
    asked: (question, arguments) in order.
    fail_with: raised instead of an answer.
    """

    asked: list = field(default_factory=list)
    fail_with: Exception | None = None

    def health(self):
        return self._answer("health", HEALTH)

    def stations(self, system):
        return self._answer("stations", {"stations": [{"name": "<b>Bastille</b>", "lat": 48.85}]}, system)

    def totals(self, system, hours):
        rows = [{"hour_ts": NEWEST.replace(minute=0) - timedelta(hours=ago)} for ago in range(hours)]
        answer = {"newest_feed_ts": system.newest_feed_at, "hours": rows[::-1]}
        return self._answer("totals", answer, system, hours)

    def features(self, system):
        features = {"1": {"turnover_24h": 7.0}}
        return self._answer("features", {"as_of": NEWEST, "features": features}, system)

    def known(self, system):
        return self._answer("known", KNOWN, system)

    def history(self, system, station_id):
        return self._answer("history", {"station_id": station_id, "history": []}, system, station_id)

    def questions(self):
        return [question for question, *_ in self.asked]

    def _answer(self, question, answer, *arguments):
        self.asked.append((question, *arguments))
        if self.fail_with is not None:
            raise self.fail_with
        return answer


@pytest.fixture
def marts():
    return RecordingMarts()


@pytest.fixture
def http(marts):
    return create_app(marts, project="p", check_ready=lambda: None, fresh_s=20.0).test_client()
