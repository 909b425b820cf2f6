"""A system with explicit URLs, its feeds, and what polls need."""

import pytest

from pmp_collector.config import System
from pmp_collector.poll import Poller
from tests.fakes.clock import Clock
from tests.fakes.feeds import FakeFeeds, body
from tests.fakes.recording import RecordingPublisher

GBFS = "https://feeds.test/gbfs.json"
STATUS, INFORMATION = "https://feeds.test/status", "https://feeds.test/information"


def explicit(system_id: str, status: str = STATUS, information: str = INFORMATION, **fields) -> System:
    return System(id=system_id, station_status_url=status, station_information_url=information, **fields)


@pytest.fixture
def feeds() -> FakeFeeds:
    return FakeFeeds({STATUS: [body()]})


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def poller(feeds, publisher, clock) -> Poller:
    return Poller([explicit("velib")], feeds.get, publisher, clock)
