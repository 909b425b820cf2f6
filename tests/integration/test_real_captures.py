"""Real feed bodies, through the real fetcher and poller, over HTTP, into rows.

REAL_FEEDS_DIR names their folder; the default is a `shared/data/gbfs` beside the repository. Their licences forbid
copies, so they are never part of it. The counts are taken with the standard library, not with the code under test.
"""

import gzip
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import pytest
import stamina

from pmp_collector.config import System
from pmp_collector.fetch import Fetcher, http_client
from pmp_collector.poll import Poller, PollResult
from pmp_schema import gbfs, message_rows
from pmp_schema.errors import PoisonMessage
from pmp_schema.events import decode_snapshot
from pmp_schema.message import Message
from tests.fakes.feeds import FeedServer, feed_server
from tests.fakes.recording import RecordingPublisher

REPOSITORY = Path(__file__).parents[2]
CAPTURES = Path(os.environ.get("REAL_FEEDS_DIR") or REPOSITORY.parent / "shared" / "data" / "gbfs")
SAMPLE_EVERY = 20

pytestmark = pytest.mark.skipif(
    not CAPTURES.is_dir(), reason=f"no real captures: set REAL_FEEDS_DIR ({CAPTURES} is no folder)"
)


class Line:
    """A server, the real collector in front of it, and what it published."""

    def __init__(self, server: FeedServer, fetcher: Fetcher) -> None:
        self._server = server
        self._fetcher = fetcher
        self.publisher = RecordingPublisher()

    def poll(self, feed: str, *bodies: bytes) -> list[PollResult]:
        """One poll for each body, in turn, by one collector."""
        url = self._server.url + "/feed.json"
        system = System(id="real", station_status_url=url, station_information_url=url)
        poller = Poller([system], self._fetcher.get, self.publisher, monotonic)
        results = []
        for body in bodies:
            self._server.serve("/feed.json", gzip.compress(body, 1), content_encoding="gzip")
            results += poller.poll(feed)
        return results

    def pushed(self) -> Message:
        """The last message as it reaches the writer."""
        (_, message) = self.publisher.published[-1]
        return Message(data=message.data, message_id="m-1", attributes=message.attributes)


@pytest.fixture(scope="module")
def fetcher() -> Iterator[Fetcher]:
    with http_client(connect_timeout_s=2, read_timeout_s=5) as client:
        yield Fetcher(client, max_body_bytes=30_000_000, attempts=1)


@pytest.fixture
def line(fetcher) -> Iterator[Line]:
    with feed_server() as server, stamina.set_testing(True):
        yield Line(server, fetcher)


def captured() -> list[Any]:
    files = [path for path in sorted(CAPTURES.rglob("*.json")) if "trips" not in path.parts]
    return [pytest.param(path, id=str(path.relative_to(CAPTURES))) for path in files]


def listed(body: bytes) -> list[dict[str, Any]] | None:
    """The stations of a body; None where it is no JSON or has no list of them."""
    try:
        stations = json.loads(body).get("data", {}).get("stations")
    except (ValueError, AttributeError):
        return None
    return stations if isinstance(stations, list) else None


def ids(stations: list[dict[str, Any]]) -> list[str]:
    """The usable ids, in the order of their first appearance."""
    usable = [str(entry["station_id"]).strip() for entry in stations if entry.get("station_id") is not None]
    return list(dict.fromkeys(station_id for station_id in usable if station_id))


def unusable(stations: list[dict[str, Any]]) -> int:
    return sum(not str(entry.get("station_id") or "").strip() for entry in stations)


@pytest.mark.parametrize("path", captured())
def test_a_captured_file_is_published_whole_or_refused_with_a_reason(line, path):
    body = path.read_bytes()
    stations = listed(body)
    feed = "station_information" if "information" in path.name else "station_status"
    (result,) = line.poll(feed, body)
    if stations is None:
        assert (result.outcome, line.publisher.published) == ("failed", [])
        assert result.detail
        return
    assert (result.outcome, result.stations) == ("published", len(stations))
    message = line.pushed()
    assert bytes(decode_snapshot(message.body()).payload) == body.removeprefix(b"\xef\xbb\xbf").strip()
    if feed == "station_information":
        assert_information_rows(message, stations)
    else:
        assert_snapshot_row(message, stations)


def assert_information_rows(message: Message, stations: list[dict[str, Any]]) -> None:
    if not stations:  # nothing would be left of the message: it is a dead letter
        with pytest.raises(PoisonMessage, match="no_stations"):
            message_rows.station_information_rows(message, datetime.now(UTC))
        return
    row_set = message_rows.station_information_rows(message, datetime.now(UTC))
    assert [row["station_id"] for row in row_set.rows] == ids(stations)
    usable = [entry for entry in stations if entry.get("station_id") is not None]
    at_zero = sum(entry["lat"] == 0 and entry["lon"] == 0 for entry in usable)
    assert sum(row["lat"] is None for row in row_set.rows) == at_zero
    capacities = [entry.get("capacity") or 0 for entry in usable]
    assert sum(row["capacity"] or 0 for row in row_set.rows) == sum(capacities)
    assert all(row["name"] for row in row_set.rows)
    rejected = [json.loads(part.data)["payload"]["data"]["stations"] for part in row_set.rejected]
    assert sum(map(len, rejected)) == unusable(stations)


def assert_snapshot_row(message: Message, stations: list[dict[str, Any]]) -> None:
    (row,) = message_rows.snapshot_rows(message, datetime.now(UTC)).rows
    assert (row["system_id"], row["station_count"]) == ("real", len(stations))
    assert row["event_id"] == message.attributes["ce-id"]
    flat = gbfs.flatten_status(gbfs.decode(row["payload"]), ingest_at=datetime.now(UTC))
    assert [station.station_id for station in flat.stations] == ids(stations)
    assert len(flat.rejected) == unusable(stations)
    usable = [entry for entry in stations if str(entry.get("station_id") or "").strip()]
    bikes = [entry.get("num_bikes_available", entry.get("num_vehicles_available")) for entry in usable]
    if flat.duplicates == 0 and None not in bikes:
        assert sum(station.bikes or 0 for station in flat.stations) == sum(bikes)
        assert sum(bool(s.is_renting) for s in flat.stations) == sum(
            bool(e.get("is_renting")) for e in usable
        )


@pytest.mark.parametrize("path", [param for param in captured() if param.values[0].name == "gbfs.json"])
def test_a_captured_discovery_document_lists_its_feeds(path):
    data = json.loads(path.read_text("utf-8"))["data"]
    feeds = data["feeds"] if "feeds" in data else data["en"]["feeds"]
    assert gbfs.feed_urls(gbfs.decode(path.read_bytes())) == {feed["name"]: feed["url"] for feed in feeds}


def series() -> list[Any]:
    return [
        pytest.param(path, id=path.parent.name) for path in sorted(CAPTURES.glob("timeseries/*/*.jsonl.gz"))
    ]


class _Captured(msgspec.Struct):
    doc: msgspec.Raw


@pytest.mark.parametrize("path", series())
def test_a_captured_series_is_published_poll_by_poll(line, path):
    with gzip.open(path) as lines:
        bodies = [
            bytes(msgspec.json.decode(text, type=_Captured).doc)
            for text in islice(lines, 0, None, SAMPLE_EVERY)
        ]
    results = line.poll("station_status", *bodies)
    assert len(bodies) > 5
    is_new = [body != before for before, body in zip([b"", *bodies], bodies, strict=False)]
    assert [result.outcome for result in results] == ["published" if new else "unchanged" for new in is_new]
    counts = [len(listed(body)) if new else None for new, body in zip(is_new, bodies, strict=True)]
    assert [result.stations for result in results] == counts
    assert len({message.attributes["ce-id"] for _, message in line.publisher.published}) == len(set(bodies))
