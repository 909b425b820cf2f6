"""Polling one system: what is published, what is not, and what the next poll remembers."""

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
from tests.fakes.feeds import body, discovery, fetched, status
from tests.unit.collector.conftest import GBFS, INFORMATION, STATUS, explicit

MOVED = "https://feeds.test/v2/status"
PUBLISHED, SAME, NOT_MODIFIED = ("published", None), ("unchanged", "same body"), ("unchanged", "not modified")


@pytest.fixture
def discovering(feeds, publisher, clock) -> Poller:
    """A poller of a system that is known by its gbfs.json alone."""
    feeds.give(GBFS, discovery(station_status=STATUS))
    return Poller([System(id="a", discovery_url=GBFS)], feeds.get, publisher, clock)


def outcomes(poller: Poller, times: int = 1, feed: str = "station_status") -> list[tuple[str, str | None]]:
    """Outcome and detail of polls of a single system."""
    return [(result.outcome, result.detail) for _ in range(times) for result in poller.poll(feed)]


def message_of(publisher) -> tuple[str, dict, SnapshotEnvelope]:
    """Topic, attributes and envelope of the last message."""
    topic, message = publisher.published[-1]
    is_gzip = "content-encoding" in message.attributes
    data = gzip.decompress(message.data) if is_gzip else message.data
    return topic, dict(message.attributes), decode_snapshot(data)


def test_a_changed_feed_is_published_unchanged_inside_its_envelope(poller, publisher):
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
    topic, _, envelope = message_of(publisher)
    assert (topic, bytes(envelope.payload)) == ("pmp-events", body())
    assert msgspec.structs.replace(envelope, payload=msgspec.Raw(b"")) == SnapshotEnvelope(
        source="velib",
        event_type="station_status_snapshot",
        payload=msgspec.Raw(b""),
        ingest_ts="2026-03-10T08:00:30.250000Z",
        event_ts="2026-03-10T08:00:00Z",
        key="velib:station_status_snapshot",
    )


def test_the_two_feeds_have_their_own_topics_types_and_memories(poller, feeds, publisher):
    feeds.give(STATUS, fetched(body(), etag='"s"'))
    feeds.give(INFORMATION, body())
    assert outcomes(poller) + outcomes(poller, feed="station_information") == [PUBLISHED] * 2
    topic, _, envelope = message_of(publisher)
    assert (topic, envelope.event_type) == ("pmp-station-info", "station_information_snapshot")
    assert feeds.calls[1] == (INFORMATION, {})


def test_a_message_carries_cloudevents_attributes_and_its_origin(poller, feeds, publisher):
    modified = "Tue, 10 Mar 2026 08:00:00 GMT"
    # A byte order mark and white space around the body are not part of it.
    surrounded = b"\xef\xbb\xbf\r\n" + body() + b"\n"
    feeds.give(STATUS, fetched(surrounded, url=STATUS, etag='W/"1"', last_modified=modified))
    poller.poll("station_status")
    _, attributes, envelope = message_of(publisher)
    assert bytes(envelope.payload) == body()
    digest = hashlib.sha256(body()).hexdigest()[:16]
    assert attributes == {
        "ce-specversion": "1.0",
        "ce-id": f"velib:station_status_snapshot:20260310T080000.000000Z:{digest}",
        "ce-type": "station_status_snapshot",
        "ce-source": "velib",
        "ce-time": "2026-03-10T08:00:00Z",
        "feed-url": STATUS,
        "feed-time-source": "last_updated",
        "fetch-started": "2026-03-10T08:00:30Z",
        "fetch-finished": "2026-03-10T08:00:30.250000Z",
        "http-etag": 'W/"1"',
        "http-last-modified": modified,
    }


@pytest.mark.parametrize(
    ("place", "expected"),
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
def test_every_snapshot_has_the_configured_city_and_zone(feeds, publisher, clock, feed, place, expected):
    feeds.give(INFORMATION, body())
    Poller([explicit("velib", **place)], feeds.get, publisher, clock).poll(feed)
    _, attributes, _ = message_of(publisher)
    found = {name: value for name, value in attributes.items() if name in {"ce-cityid", "ce-timezone"}}
    assert found == expected


def test_attributes_never_exceed_the_limit_of_pubsub(poller, feeds, publisher):
    feeds.give(STATUS, fetched(body(), url="https://feeds.test/" + "a" * 2000, etag="ä" * 1000))
    poller.poll("station_status")
    _, attributes, _ = message_of(publisher)
    sizes = {name: len(value.encode()) for name, value in attributes.items()}
    assert (sizes["feed-url"], sizes["http-etag"]) == (1024, 1024)


@pytest.mark.parametrize(
    ("fields", "headers", "at", "source"),
    [
        ({"last_updated": 1773129600}, {}, "2026-03-10T08:00:00Z", "last_updated"),
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
def test_the_feed_time_is_the_feeds_own_if_it_has_one(poller, feeds, publisher, fields, headers, at, source):
    feeds.give(STATUS, fetched(body(**fields), **headers))
    (result,) = poller.poll("station_status")
    _, attributes, envelope = message_of(publisher)
    assert (result.feed_ts, attributes["ce-time"], attributes["feed-time-source"]) == (at, at, source)
    assert envelope.event_ts == at


@pytest.mark.parametrize(("stations", "encoding"), [(0, None), (20_000, "gzip")])
def test_a_large_snapshot_is_compressed_and_an_empty_one_is_published(
    poller, feeds, publisher, stations, encoding
):
    content = body(stations)
    feeds.give(STATUS, content)
    (result,) = poller.poll("station_status")
    _, attributes, envelope = message_of(publisher)
    assert (attributes.get("content-encoding"), bytes(envelope.payload)) == (encoding, content)
    assert (result.outcome, result.stations, result.bytes) == ("published", stations, len(content))
    if encoding:
        assert len(publisher.published[0][1].data) < len(content) / 5


@pytest.mark.parametrize(
    ("answers", "expected", "validators"),
    [
        ([body()], [PUBLISHED, SAME], [{}, {}]),
        ([body(1), body(2), body(1)], [PUBLISHED] * 3, [{}] * 3),
        (
            [fetched(body(), etag='"1"', last_modified="then"), fetched(None)],
            [PUBLISHED, NOT_MODIFIED],
            [{}, {"If-None-Match": '"1"', "If-Modified-Since": "then"}],
        ),
        (
            [fetched(body(), etag=f'"{n}"') for n in range(3)],
            [PUBLISHED, SAME, SAME],
            [{}, {"If-None-Match": '"0"'}, {"If-None-Match": '"1"'}],
        ),
        ([fetched(body(), etag='"ä"')], [PUBLISHED, SAME], [{}, {}]),  # a header cannot carry it
    ],
    ids=["same-body", "back-again", "304", "new-etag", "not-ascii"],
)
def test_a_poll_sends_the_validators_of_the_last_body_and_publishes_only_changes(
    poller, feeds, publisher, answers, expected, validators
):
    feeds.give(STATUS, *answers)
    assert outcomes(poller, len(expected)) == expected
    assert feeds.calls == [(STATUS, sent) for sent in validators]
    assert len(publisher.published) == expected.count(PUBLISHED)


def test_after_a_failed_publish_the_feed_is_still_changed(poller, feeds, publisher):
    feeds.give(STATUS, fetched(body(1), etag='"1"'), *[fetched(body(2), etag='"2"')] * 2)
    publisher.fail_with = PublishFailed("pmp-events: DeadlineExceeded")
    assert outcomes(poller) == [("failed", "pmp-events: DeadlineExceeded")]
    publisher.fail_with = None
    feeds.give(STATUS, fetched(body(1), etag='"1"'), *[fetched(body(2), etag='"2"')] * 2)
    assert outcomes(poller) == [PUBLISHED]
    publisher.fail_with = PublishFailed("down")
    poller.poll("station_status")
    publisher.fail_with = None
    assert outcomes(poller) == [PUBLISHED]
    sent = [validators for _, validators in feeds.calls]
    assert sent == [{}, {}, {"If-None-Match": '"1"'}, {"If-None-Match": '"1"'}]


@pytest.mark.parametrize(
    ("answer", "detail"),
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
def test_an_invalid_feed_is_a_failure_with_its_reason_and_forgotten(poller, feeds, publisher, answer, detail):
    feeds.give(STATUS, body(1), answer, body(1), body(2))
    first, second, third, fourth = outcomes(poller, 4)
    assert second[0] == "failed"
    assert second[1].startswith(detail)
    assert (first, third, fourth) == (PUBLISHED, SAME, PUBLISHED)
    assert len(publisher.published) == 2


def test_a_failure_is_one_log_line_with_the_trace_of_its_request(poller, feeds):
    feeds.give(STATUS, status(503))
    lines = []
    logger, handler = logging.getLogger("pmp_collector.poll"), logging.Handler()
    handler.emit = lambda record: lines.append(msgspec.json.decode(logs.CloudJsonFormatter().format(record)))
    logger.addHandler(handler)
    try:
        with logs.bound(trace="t-1"):
            poller.poll("station_status")
    finally:
        logger.removeHandler(handler)
    (line,) = lines
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


def test_a_discovered_feed_is_fetched_on_behalf_of_the_configured_url(discovering, feeds):
    assert outcomes(discovering) == [PUBLISHED]
    assert list(zip(feeds.asked, feeds.configured, strict=True)) == [(GBFS, None), (STATUS, GBFS)]


@pytest.mark.parametrize("gone", [404, 410])
def test_a_feed_that_is_gone_is_found_at_its_new_url_without_old_validators(discovering, feeds, gone):
    feeds.give(GBFS, discovery(station_status=STATUS), discovery(station_status=MOVED))
    feeds.give(STATUS, fetched(body(1), etag='"1"'), status(gone))
    feeds.give(MOVED, fetched(body(2), etag='"2"'))
    assert outcomes(discovering, 3) == [PUBLISHED, PUBLISHED, SAME]
    assert feeds.calls == [
        (GBFS, {}),
        (STATUS, {}),
        (STATUS, {"If-None-Match": '"1"'}),
        (GBFS, {}),
        (MOVED, {}),
        (MOVED, {"If-None-Match": '"2"'}),
    ]


def test_validators_are_not_sent_to_a_new_url(discovering, feeds, clock):
    feeds.give(GBFS, discovery(station_status=STATUS), discovery(station_status=MOVED))
    feeds.give(STATUS, fetched(body(1), etag='"1"'))
    feeds.give(MOVED, body(1))
    discovering.poll("station_status")
    clock.now_s += 3600
    assert outcomes(discovering) == [SAME]
    assert feeds.calls[-1] == (MOVED, {})


def test_a_feed_that_is_gone_and_still_listed_fails_after_one_look(discovering, feeds):
    feeds.give(STATUS, status(404))
    assert outcomes(discovering) == [("failed", "HTTP 404")]
    assert feeds.asked == [GBFS, STATUS, GBFS]


def test_a_discovery_that_is_gone_is_fetched_once(discovering, feeds):
    feeds.give(GBFS, status(404))
    assert outcomes(discovering) == [("failed", "discovery: HTTP 404")]
    assert feeds.asked == [GBFS]


@pytest.mark.parametrize("system", ["bixi", ""])
def test_an_unknown_system_is_an_error_and_fetches_nothing(poller, feeds, system):
    with pytest.raises(UnknownSystem):
        poller.poll("station_status", system)
    assert feeds.asked == []
