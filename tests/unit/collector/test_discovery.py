"""Where a system's feeds are."""

import json
import logging

import pytest

from pmp_collector.config import System
from pmp_collector.discovery import Discovery
from pmp_collector.fetch import FetchFailed
from tests.fakes.clock import Clock
from tests.fakes.feeds import FakeFeeds, discovery, status
from tests.unit.collector.conftest import GBFS

OLD, NEW = "https://feeds.test/v1/status", "https://feeds.test/v2/status"
HOUR_S = 3600.0


@pytest.fixture
def feeds() -> FakeFeeds:
    return FakeFeeds({GBFS: [discovery(station_status=OLD)]})


def of(feeds: FakeFeeds, clock: Clock, **fields) -> Discovery:
    return Discovery(System(**({"id": "a", "discovery_url": GBFS} | fields)), feeds.get, clock)


def test_gbfs_json_is_read_once_an_hour(feeds, clock):
    feeds.give(GBFS, discovery(station_status=OLD), discovery(station_status=NEW))
    found = of(feeds, clock)
    urls = []
    for after_s in (0.0, HOUR_S - 1, 1.0):
        clock.now_s += after_s
        urls.append(found.url("station_status"))
    assert urls == [OLD, OLD, NEW]
    assert feeds.asked == [GBFS, GBFS]


def test_an_explicit_url_asks_nobody(feeds, clock):
    found = of(feeds, clock, station_status_url="https://a.test/s")
    assert found.url("station_status") == "https://a.test/s"
    assert found.configured("station_status") == "https://a.test/s"
    assert found.configured("station_information") == GBFS
    assert found.url_after("https://a.test/s", "station_status") is None
    assert feeds.asked == []


LISTED = {
    code: {"feeds": [{"name": "station_status", "url": f"https://a.test/{code}"}]}
    for code in ("nl", "en", "fr")
}


@pytest.mark.parametrize(
    ("data", "language", "url"),
    [
        (LISTED, "fr", "https://a.test/fr"),
        (LISTED, "de", "https://a.test/en"),
        (LISTED["nl"], "en", "https://a.test/nl"),  # version 3 has no languages
    ],
)
def test_the_configured_language_is_preferred_then_english(feeds, clock, data, language, url):
    feeds.give(GBFS, json.dumps({"data": data}).encode())
    assert of(feeds, clock, language=language).url("station_status") == url


def test_a_feed_that_is_not_listed_is_looked_for_at_the_next_poll(feeds, clock):
    feeds.give(GBFS, discovery(system_information=OLD), discovery(station_status=NEW))
    found = of(feeds, clock)
    with pytest.raises(FetchFailed, match=r"^discovery: station_status is not listed$"):
        found.url("station_status")
    assert found.url("station_status") == NEW


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(503), "discovery: HTTP 503"),
        (b"<html>", "discovery: not_json"),
        (b"", "discovery: empty"),
        (b'{"data":{}}', "discovery: schema"),
    ],
)
def test_a_first_discovery_that_fails_is_a_failure_and_asked_again(feeds, clock, answer, said):
    feeds.give(GBFS, answer, discovery(station_status=OLD))
    found = of(feeds, clock)
    with pytest.raises(FetchFailed) as caught:
        found.url("station_status")
    assert str(caught.value).startswith(said)
    assert found.url("station_status") == OLD


def test_what_was_known_serves_on_while_gbfs_json_is_broken(feeds, clock, caplog):
    feeds.give(GBFS, discovery(station_status=OLD), b"<html>", discovery(station_status=NEW))
    found = of(feeds, clock)
    found.url("station_status")
    clock.now_s += HOUR_S
    with caplog.at_level(logging.WARNING):
        assert found.url("station_status") == OLD
        clock.now_s += HOUR_S - 1
        assert found.url("station_status") == OLD
    assert [(r.message, r.system) for r in caplog.records] == [("discovery.failed", "a")]
    clock.now_s += 1
    assert found.url("station_status") == NEW


@pytest.mark.parametrize(("listed", "moved_to"), [(NEW, NEW), (OLD, None)])
def test_a_feed_that_is_gone_is_looked_up_at_once(feeds, clock, listed, moved_to):
    feeds.give(GBFS, discovery(station_status=OLD), discovery(station_status=listed))
    found = of(feeds, clock)
    assert found.url_after(found.url("station_status"), "station_status") == moved_to
