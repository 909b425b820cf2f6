"""Real feed bodies, read from a folder outside of the repository because their licences forbid copies.

REAL_FEEDS_DIR names it; the default is a `shared/data/gbfs` beside the repository. The numbers to compare with are
counted with the standard library. tests/integration/test_real_captures.py sends the same bodies through the collector.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pmp_schema import gbfs
from pmp_schema.errors import PoisonMessage, Reason

REPOSITORY = Path(__file__).parents[3]
FEEDS = Path(os.environ.get("REAL_FEEDS_DIR") or REPOSITORY.parent / "shared" / "data" / "gbfs")
INGEST_AT = datetime(2026, 12, 1, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    not FEEDS.is_dir(), reason=f"no real captures: set REAL_FEEDS_DIR ({FEEDS} is not a folder)"
)


def captured(pattern: str) -> list:
    return [pytest.param(path, id=str(path.relative_to(FEEDS))) for path in sorted(FEEDS.glob(pattern))]


def stations_of(path: Path) -> list[dict]:
    return json.loads(path.read_text("utf-8"))["data"]["stations"]


@pytest.mark.parametrize(
    "path", captured("**/station_status.json") + captured("odd/empty_stations_blip*/*.json")
)
def test_every_captured_station_status_becomes_rows(path):
    listed = stations_of(path)
    found = gbfs.flatten_status(gbfs.decode(path.read_bytes()), ingest_at=INGEST_AT)
    assert (found.rejected, found.duplicates) == ([], 0)
    assert [s.station_id for s in found.stations] == [str(s["station_id"]) for s in listed]
    bikes = [s.get("num_bikes_available", s.get("num_vehicles_available")) for s in listed]
    assert sum(s.bikes for s in found.stations) == sum(bikes)
    assert sum(s.is_renting for s in found.stations) == sum(bool(s["is_renting"]) for s in listed)
    if "velib_paris" in path.parts:
        ebikes = [s["num_bikes_available_types"][1]["ebike"] for s in listed]
        assert sum(s.ebikes for s in found.stations) == sum(ebikes)
        assert all(s.mechanical + s.ebikes == s.bikes for s in found.stations)


@pytest.mark.parametrize("path", captured("**/station_information*.json"))
def test_every_captured_station_information_becomes_rows(path):
    listed = stations_of(path)
    found = gbfs.flatten_information(gbfs.decode(path.read_bytes()))
    assert (found.rejected, found.duplicates) == ([], 0)
    assert [s.station_id for s in found.stations] == [str(s["station_id"]) for s in listed]
    assert all(s.name for s in found.stations)
    at_zero = sum(s["lat"] == 0 and s["lon"] == 0 for s in listed)
    assert sum(s.lat is None for s in found.stations) == at_zero
    assert sum(s.capacity or 0 for s in found.stations) == sum(s.get("capacity") or 0 for s in listed)
    codes = [s["stationCode"] for s in listed if "stationCode" in s]
    assert not codes or [s.station_code for s in found.stations] == codes


def poison_of(read, argument) -> Reason | None:
    try:
        read(argument)
    except PoisonMessage as error:
        return error.reason
    return None


@pytest.mark.parametrize("path", captured("**/*.json"))
def test_every_captured_file_has_a_defined_result(path):
    body = path.read_bytes()
    if (reason := poison_of(gbfs.decode, body)) is not None:
        assert reason is (Reason.NOT_JSON if "malformed_json" in str(path) else reason)
        assert reason in {Reason.NOT_JSON, Reason.SCHEMA}
        return
    document = gbfs.decode(body)
    source = gbfs.feed_time(document, fetched_at=INGEST_AT).source
    assert source in {"last_updated", "lastUpdatedOther"}
    assert poison_of(gbfs.flatten_information, document) in {None, Reason.SCHEMA}
    if path.name == "gbfs.json":
        data = document.data
        feeds = data["feeds"] if "feeds" in data else data["en"]["feeds"]
        assert gbfs.feed_urls(document) == {feed["name"]: feed["url"] for feed in feeds}
