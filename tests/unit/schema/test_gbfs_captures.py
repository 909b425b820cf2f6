"""Real feed bodies, read from a folder outside of the repository because their licences forbid copies.

REAL_FEEDS_DIR names it; the default is a `shared/data/gbfs` beside the repository.
"""

import gzip
import json
import os
from collections import Counter
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from pmp_schema import gbfs
from pmp_schema.errors import PoisonMessage, Reason

REPOSITORY = Path(__file__).parents[3]
FEEDS = Path(os.environ.get("REAL_FEEDS_DIR") or REPOSITORY.parent / "shared" / "data" / "gbfs")
INGEST_AT = datetime(2026, 12, 1, tzinfo=UTC)
SAMPLE_EVERY = 40

pytestmark = pytest.mark.skipif(
    not FEEDS.is_dir(), reason=f"no real captures: set REAL_FEEDS_DIR ({FEEDS} is no folder)"
)


def captured(pattern: str) -> list:
    return [pytest.param(path, id=str(path.relative_to(FEEDS))) for path in sorted(FEEDS.glob(pattern))]


def stations_of(path: Path) -> list[dict]:
    """The stations as the standard library reads them: the independent count."""
    return json.loads(path.read_text("utf-8"))["data"]["stations"]


def listed_bikes(stations: list[dict]) -> int:
    return sum(s.get("num_bikes_available", s.get("num_vehicles_available")) for s in stations)


def one(pattern: str) -> Path:
    found = sorted(FEEDS.glob(pattern))
    if not found:
        pytest.skip(f"the folder of captures has no {pattern}")
    return found[-1]


def status_of(path: Path, **options):
    return gbfs.flatten_status(gbfs.decode(path.read_bytes()), ingest_at=INGEST_AT, **options)


@pytest.mark.parametrize(
    "path", captured("**/station_status.json") + captured("odd/empty_stations_blip*/*.json")
)
def test_every_captured_station_status_becomes_rows(path):
    listed = stations_of(path)
    found = status_of(path)
    assert (found.rejected, found.duplicates) == ([], 0)
    assert [s.station_id for s in found.stations] == [str(s["station_id"]) for s in listed]
    assert sum(s.bikes for s in found.stations) == listed_bikes(listed)
    assert sum(s.is_renting for s in found.stations) == sum(bool(s["is_renting"]) for s in listed)
    assert gbfs.station_count(gbfs.decode(path.read_bytes())) == len(listed)


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
        assert reason in {Reason.NOT_JSON, Reason.SCHEMA}
        return
    document = gbfs.decode(body)
    found = gbfs.feed_time(document, fetched_at=INGEST_AT)
    assert found.source in {"last_updated", "lastUpdatedOther"}
    gbfs.vehicle_kinds(document)
    assert poison_of(gbfs.feed_urls, document) in {None, Reason.SCHEMA}
    assert poison_of(gbfs.flatten_information, document) in {None, Reason.SCHEMA}


@pytest.mark.parametrize("path", captured("**/gbfs.json"))
def test_every_captured_discovery_document_lists_its_feeds(path):
    data = json.loads(path.read_text("utf-8"))["data"]
    feeds = data["feeds"] if "feeds" in data else data["en"]["feeds"]
    assert gbfs.feed_urls(gbfs.decode(path.read_bytes())) == {feed["name"]: feed["url"] for feed in feeds}


@pytest.mark.parametrize("path", captured("timeseries/*/station_status.jsonl.gz"))
def test_a_sample_of_every_captured_series_becomes_rows(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in islice(lines, 0, None, SAMPLE_EVERY):
            body = json.dumps(json.loads(line)["doc"]).encode()
            listed = json.loads(body)["data"]["stations"]
            found = gbfs.flatten_status(gbfs.decode(body), ingest_at=INGEST_AT)
            assert (found.rejected, found.duplicates) == ([], 0)
            assert [s.station_id for s in found.stations] == [s["station_id"] for s in listed]
            assert sum(s.bikes for s in found.stations) == listed_bikes(listed)


@pytest.mark.parametrize("path", captured("odd/malformed_json*/*.json"))
def test_a_cut_off_body_is_not_json(path):
    with pytest.raises(PoisonMessage) as caught:
        gbfs.decode(path.read_bytes())
    assert caught.value.reason is Reason.NOT_JSON


@pytest.mark.parametrize("path", captured("velib_paris/*/*/station_status.json"))
def test_a_velib_snapshot_is_read_without_loss(path):
    listed = stations_of(path)
    information = gbfs.flatten_information(
        gbfs.decode(path.with_name("station_information.json").read_bytes())
    )
    capacities = {s.station_id: s.capacity for s in information.stations}
    found = status_of(path, capacities=capacities)
    assert gbfs.feed_time(gbfs.decode(path.read_bytes()), fetched_at=INGEST_AT).source == "lastUpdatedOther"
    assert any(int(s.station_id) > 2**31 for s in found.stations)
    assert all(s.mechanical + s.ebikes == s.bikes for s in found.stations)
    assert sum(s.ebikes for s in found.stations) == sum(
        s["num_bikes_available_types"][1]["ebike"] for s in listed
    )
    assert {s.station_id: s.station_code for s in information.stations} == {
        str(s["station_id"]): s["stationCode"]
        for s in stations_of(path.with_name("station_information.json"))
    }
    held = {str(s["station_id"]): s["num_bikes_available"] + s["num_docks_available"] for s in listed}
    over = {station for station, total in held.items() if 0 < capacities.get(station, 0) < total}
    assert {s.station_id for s in found.stations if "over_capacity" in s.quality} == over
    assert over


def test_scooters_that_divvy_counts_by_type_only_are_found():
    path = one("divvy_chicago/*/*/station_status.json")
    kinds = gbfs.vehicle_kinds(gbfs.decode(path.with_name("vehicle_types.json").read_bytes()))
    plain, named = status_of(path), status_of(path, kinds=kinds)
    assert Counter(slug for s in plain.stations for slug in s.quality) == {}
    assert sum("types_sum_differs" in s.quality for s in named.stations) == 139
    assert [(s.bikes, s.mechanical, s.ebikes) for s in named.stations] == [
        (s.bikes, s.mechanical, s.ebikes) for s in plain.stations
    ]
