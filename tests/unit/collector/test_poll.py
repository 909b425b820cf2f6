"""Polling: what is published, what is not, and what one system does to the others."""

import gzip
import hashlib
import logging

import msgspec
import pytest

from pmp_collector.config import System
from pmp_collector.poll import FEEDS, Poller, PollResult, UnknownSystem
from pmp_runtime import logs
from pmp_schema.errors import PublishFailed
from pmp_schema.events import SnapshotEnvelope, decode_snapshot
from tests.fakes.clock import Clock
from tests.fakes.feeds import FakeFeeds, body, discovery, fetched, status
from tests.fakes.recording import RecordingPublisher

STATUS, INFORMATION, GBFS = (
    "https://feeds.test/status",
    "https://feeds.test/information",
    "https://feeds.test/gbfs.json",
)
VELIB = System(id="velib", station_status_url=STATUS, station_information_url=INFORMATION)


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
    return Poller([VELIB], feeds.get, publisher, clock)


def outcomes(poller: Poller, times: int = 1, feed: str = "station_status") -> list[tuple[str, str | None]]:
    """Outcome and detail of polls of a single system."""
    return [(result.outcome, result.detail) for _ in range(times) for result in poller.poll(feed)]


def envelope_of(publisher: RecordingPublisher) -> SnapshotEnvelope:
    (_, message) = publisher.published[-1]
    data = message.data
    return decode_snapshot(gzip.decompress(data) if "content-encoding" in message.attributes else data)


def test_a_changed_feed_is_published(poller, publisher):
    assert poller.poll("station_status") == [
        PollResult(
            system="velib",
            feed="station_status",
            outcome="published",
            stations=2,
            bytes=len(body()),
            message_id="0",
            feed_ts="2026-03-10T08:00:00Z",
        )
    ]
    assert [topic for topic, _ in publisher.published] == ["pmp-events"]


def test_station_information_has_its_own_topic_and_type(poller, feeds, publisher):
    feeds.give(INFORMATION, body())
    assert outcomes(poller, feed="station_information") == [("published", None)]
    assert publisher.published[0][0] == "pmp-station-info"
    assert envelope_of(publisher).event_type == "station_information_snapshot"


def test_the_body_is_published_unchanged_inside_its_envelope(poller, publisher):
    poller.poll("station_status")
    envelope = envelope_of(publisher)
    assert bytes(envelope.payload) == body()
    assert msgspec.structs.replace(envelope, payload=msgspec.Raw(b"")) == SnapshotEnvelope(
        source="velib",
        event_type="station_status_snapshot",
        payload=msgspec.Raw(b""),
        ingest_ts="2026-03-10T08:00:30.250000Z",
        event_ts="2026-03-10T08:00:00Z",
        key="velib:station_status_snapshot",
    )


def test_a_byte_order_mark_and_white_space_around_are_no_part_of_the_body(poller, feeds, publisher):
    feeds.give(STATUS, b"\xef\xbb\xbf\r\n" + body() + b"\n")
    poller.poll("station_status")
    assert bytes(envelope_of(publisher).payload) == body()


def test_a_message_carries_cloudevents_attributes_and_where_it_comes_from(poller, feeds, publisher):
    feeds.give(
        STATUS, fetched(body(), url=STATUS, etag='W/"1"', last_modified="Tue, 10 Mar 2026 08:00:00 GMT")
    )
    poller.poll("station_status")
    assert dict(publisher.published[0][1].attributes) == {
        "ce-specversion": "1.0",
        "ce-id": f"velib:station_status_snapshot:20260310T080000.000000Z:{hashlib.sha256(body()).hexdigest()[:16]}",
        "ce-type": "station_status_snapshot",
        "ce-source": "velib",
        "ce-time": "2026-03-10T08:00:00Z",
        "feed-url": STATUS,
        "feed-time-source": "last_updated",
        "fetch-started": "2026-03-10T08:00:30Z",
        "fetch-finished": "2026-03-10T08:00:30.250000Z",
        "http-etag": 'W/"1"',
        "http-last-modified": "Tue, 10 Mar 2026 08:00:00 GMT",
    }


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (
            {"city_id": "paris", "timezone": "Europe/Paris"},
            {"ce-cityid": "paris", "ce-timezone": "Europe/Paris"},
        ),
        ({"timezone": "Asia/Kolkata"}, {"ce-timezone": "Asia/Kolkata"}),
        ({}, {}),
    ],
    ids=["both", "only-the-zone", "neither"],
)
@pytest.mark.parametrize("feed", FEEDS)
def test_every_snapshot_tells_the_city_and_the_zone_that_are_configured(
    feeds, publisher, clock, feed, place, told
):
    feeds.give(INFORMATION, body())
    system = System(id="velib", station_status_url=STATUS, station_information_url=INFORMATION, **place)
    Poller([system], feeds.get, publisher, clock).poll(feed)
    attributes = publisher.published[0][1].attributes
    found = {name: value for name, value in attributes.items() if name in {"ce-cityid", "ce-timezone"}}
    assert found == told


def test_attributes_never_exceed_what_pubsub_takes(poller, feeds, publisher):
    feeds.give(STATUS, fetched(body(), url="https://feeds.test/" + "a" * 2000, etag="ä" * 1000))
    poller.poll("station_status")
    sizes = {name: len(value.encode()) for name, value in publisher.published[0][1].attributes.items()}
    assert (sizes["feed-url"], sizes["http-etag"]) == (1024, 1024)


def test_the_same_body_has_the_same_id_in_every_process(feeds, clock):
    ids = set()
    for _ in range(2):
        publisher = RecordingPublisher()
        Poller([VELIB], feeds.get, publisher, clock).poll("station_status")
        ids.add(publisher.published[0][1].attributes["ce-id"])
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("fields", "headers", "at", "source"),
    [
        ({"last_updated": 1773129600}, {}, "2026-03-10T08:00:00Z", "last_updated"),
        (
            {"last_updated": "2026-03-10T09:00:00.7982947+01:00"},
            {},
            "2026-03-10T08:00:00.798294Z",
            "last_updated",
        ),
        (
            {"last_updated": None, "lastUpdatedOther": 1773129540},
            {},
            "2026-03-10T07:59:00Z",
            "lastUpdatedOther",
        ),
        (
            {"last_updated": 0},
            {"date": "Tue, 10 Mar 2026 08:00:29 GMT"},
            "2026-03-10T08:00:29Z",
            "date_header",
        ),
        ({"last_updated": "soon"}, {}, "2026-03-10T08:00:30.250000Z", "fetched_at"),
    ],
)
def test_the_feed_time_is_the_feeds_own_where_it_has_one(
    poller, feeds, publisher, fields, headers, at, source
):
    feeds.give(STATUS, fetched(body(**fields), **headers))
    (result,) = poller.poll("station_status")
    attributes = publisher.published[0][1].attributes
    assert (result.feed_ts, attributes["ce-time"], attributes["feed-time-source"]) == (at, at, source)
    assert envelope_of(publisher).event_ts == at


def test_a_large_snapshot_is_compressed_and_says_so(poller, feeds, publisher):
    large = body(stations=20_000)
    feeds.give(STATUS, large)
    (result,) = poller.poll("station_status")
    (_, message) = publisher.published[0]
    assert message.attributes["content-encoding"] == "gzip"
    assert len(message.data) < len(large) / 5
    assert bytes(envelope_of(publisher).payload) == large
    assert (result.stations, result.bytes) == (20_000, len(large))


def test_the_same_body_is_unchanged(poller, publisher):
    assert outcomes(poller, 2) == [("published", None), ("unchanged", "same body")]
    assert len(publisher.published) == 1


def test_a_body_that_comes_back_is_published_again(poller, feeds, publisher):
    feeds.give(STATUS, body(1), body(2), body(1))
    assert outcomes(poller, 3) == [("published", None)] * 3


def test_validators_are_sent_back_and_a_304_is_unchanged(poller, feeds, publisher):
    feeds.give(STATUS, fetched(body(), etag='"1"', last_modified="then"), fetched(None))
    assert outcomes(poller, 2) == [("published", None), ("unchanged", "not modified")]
    assert feeds.calls == [(STATUS, {}), (STATUS, {"If-None-Match": '"1"', "If-Modified-Since": "then"})]


def test_validators_follow_the_last_answer(poller, feeds):
    feeds.give(STATUS, *(fetched(body(), etag=f'"{n}"') for n in range(3)))
    outcomes(poller, 3)
    assert [validators.get("If-None-Match") for _, validators in feeds.calls] == [None, '"0"', '"1"']


def test_a_validator_that_cannot_be_sent_is_not(poller, feeds):
    feeds.give(STATUS, fetched(body(), etag='"ä"'))
    outcomes(poller, 2)
    assert feeds.calls[1] == (STATUS, {})


def test_the_two_feeds_of_a_system_do_not_share_what_they_remember(poller, feeds):
    feeds.give(STATUS, fetched(body(), etag='"s"'))
    feeds.give(INFORMATION, body())
    assert outcomes(poller) + outcomes(poller, feed="station_information") == [("published", None)] * 2
    assert feeds.calls[1] == (INFORMATION, {})


def test_a_publish_that_fails_leaves_the_feed_changed(poller, feeds, publisher):
    feeds.give(STATUS, fetched(body(), etag='"1"'))
    publisher.fail_with = PublishFailed("pmp-events: DeadlineExceeded")
    assert outcomes(poller) == [("failed", "pmp-events: DeadlineExceeded")]
    publisher.fail_with = None
    assert outcomes(poller) == [("published", None)]
    assert feeds.calls[1] == (STATUS, {})


def test_a_publish_that_fails_after_a_good_one_keeps_asking_for_what_is_newer(poller, feeds, publisher):
    feeds.give(STATUS, fetched(body(1), etag='"1"'), fetched(body(2), etag='"2"'))
    poller.poll("station_status")
    publisher.fail_with = PublishFailed("down")
    poller.poll("station_status")
    publisher.fail_with = None
    assert outcomes(poller) == [("published", None)]
    assert feeds.calls[2] == (STATUS, {"If-None-Match": '"1"'})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<!DOCTYPE html><h1>Back soon</h1>", "not_json: "),
        (body()[:-20], "not_json: "),
        (b'{"last_updated": NaN}', "not_json: "),
        (body().decode().encode("utf-16"), "not_utf8"),
        (b"[" * 200 + b"]" * 200, "too_deep: "),
        (b'{"last_updated":1,"data":{}}', "schema: no list of stations"),
        (b'{"last_updated":1,"data":{"stations":null}}', "schema: no list of stations"),
        (b'{"error":"GBFS disabled"}', "schema: no list of stations"),
        (b"[]", "schema: "),
        (status(404), "HTTP 404"),
        (status(503), "HTTP 503"),
    ],
)
def test_what_is_no_feed_is_a_failure_with_its_reason_and_forgotten(poller, feeds, publisher, answer, said):
    feeds.give(STATUS, body(1), answer, body(1), body(2))
    first, second, third, fourth = outcomes(poller, 4)
    assert second[0] == "failed"
    assert second[1].startswith(said)
    assert (first, third, fourth) == (("published", None), ("unchanged", "same body"), ("published", None))
    assert len(publisher.published) == 2


def test_a_snapshot_without_stations_is_published_as_it_is(poller, feeds, publisher):
    feeds.give(STATUS, body(0))
    (result,) = poller.poll("station_status")
    assert (result.outcome, result.stations) == ("published", 0)
    assert bytes(envelope_of(publisher).payload) == body(0)


def test_a_failure_is_one_log_line_with_the_trace_of_its_request(poller, feeds, caplog):
    feeds.give(STATUS, status(503))
    seen = []
    logger = logging.getLogger("pmp_collector.poll")
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(msgspec.json.decode(logs.CloudJsonFormatter().format(record)))
    logger.addHandler(handler)
    try:
        with logs.bound(trace="t-1"):
            poller.poll("station_status")
    finally:
        logger.removeHandler(handler)
    (line,) = seen
    del line["time"]
    assert line == {
        "severity": "WARNING",
        "message": "poll.failed",
        "logger": "pmp_collector.poll",
        "trace": "t-1",
        "system": "velib",
        "feed": "station_status",
        "cause": "HTTP 503",
    }


def test_discovered_feeds_are_asked_in_the_name_of_the_configured_url(feeds, publisher, clock):
    feeds.give(GBFS, discovery(station_status=STATUS))
    poller = Poller([System(id="a", discovery_url=GBFS)], feeds.get, publisher, clock)
    assert outcomes(poller) == [("published", None)]
    assert list(zip(feeds.asked, feeds.configured, strict=True)) == [(GBFS, None), (STATUS, GBFS)]


@pytest.mark.parametrize("gone", [404, 410])
def test_a_feed_that_is_gone_is_found_where_it_went_without_old_validators(feeds, publisher, clock, gone):
    moved = "https://feeds.test/v2/status"
    feeds.give(GBFS, discovery(station_status=STATUS), discovery(station_status=moved))
    feeds.give(STATUS, fetched(body(1), etag='"1"'), status(gone))
    feeds.give(moved, fetched(body(2), etag='"2"'))
    poller = Poller([System(id="a", discovery_url=GBFS)], feeds.get, publisher, clock)
    assert outcomes(poller, 3) == [("published", None), ("published", None), ("unchanged", "same body")]
    assert feeds.calls == [
        (GBFS, {}),
        (STATUS, {}),
        (STATUS, {"If-None-Match": '"1"'}),
        (GBFS, {}),
        (moved, {}),
        (moved, {"If-None-Match": '"2"'}),
    ]


def test_validators_are_not_sent_to_where_a_feed_went(feeds, publisher, clock):
    moved = "https://feeds.test/v2/status"
    feeds.give(GBFS, discovery(station_status=STATUS), discovery(station_status=moved))
    feeds.give(STATUS, fetched(body(1), etag='"1"'))
    feeds.give(moved, body(1))
    poller = Poller([System(id="a", discovery_url=GBFS)], feeds.get, publisher, clock)
    poller.poll("station_status")
    clock.now_s += 3600
    assert outcomes(poller) == [("unchanged", "same body")]
    assert feeds.calls[-1] == (moved, {})


def test_a_feed_that_is_gone_and_still_listed_fails_after_one_look(feeds, publisher, clock):
    feeds.give(GBFS, discovery(station_status=STATUS))
    feeds.give(STATUS, status(404))
    poller = Poller([System(id="a", discovery_url=GBFS)], feeds.get, publisher, clock)
    assert outcomes(poller) == [("failed", "HTTP 404")]
    assert feeds.asked == [GBFS, STATUS, GBFS]


def test_a_discovery_that_is_gone_is_asked_once(feeds, publisher, clock):
    feeds.give(GBFS, status(404))
    poller = Poller([System(id="a", discovery_url=GBFS)], feeds.get, publisher, clock)
    assert outcomes(poller) == [("failed", "discovery: HTTP 404")]
    assert feeds.asked == [GBFS]


def test_an_unknown_system_is_an_error_and_asks_nobody(poller, feeds):
    for system in ("bixi", ""):
        with pytest.raises(UnknownSystem):
            poller.poll("station_status", system)
    assert feeds.asked == []


def test_every_feed_has_a_topic_and_a_type():
    assert {(feed.name, feed.event_type, feed.topic.id) for feed in FEEDS.values()} == {
        ("station_status", "station_status_snapshot", "pmp-events"),
        ("station_information", "station_information_snapshot", "pmp-station-info"),
    }
