"""The feed server over HTTP: caching, compression, the truth, forced anomalies and errors."""

import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from pmp_simulator.anomalies import Anomalies, Kind, Window
from pmp_simulator.city import City
from pmp_simulator.clock import SimulatedClock
from pmp_simulator.heartbeat import Heartbeat
from pmp_simulator.recording import open_recording
from pmp_simulator.server import create_feed_app
from pmp_simulator.simulated_feed import SimulatedFeed
from tests.fakes.clock import Clock

START = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
STATUS = "/station_status.json"


@pytest.fixture
def seconds() -> Clock:
    return Clock(0.0)


@pytest.fixture
def source(seconds) -> SimulatedFeed:
    return SimulatedFeed(
        City(seed=7, start_at=START, stations=150),
        Heartbeat(seed=7, start_at=START, stations=150),
        SimulatedClock(START, 1.0, seconds),
    )


@pytest.fixture
def client(source):
    return create_feed_app(source).test_client()


def bikes(answer) -> dict[int, int]:
    return {row["station_id"]: row["num_bikes_available"] for row in answer.json["data"]["stations"]}


def test_discovery_leads_to_every_feed(client):
    feeds = client.get("/gbfs.json", base_url="http://feed:8086").json["data"]["en"]["feeds"]
    assert next(feed["url"] for feed in feeds) == "http://feed:8086/gbfs.json"
    for feed in feeds:
        answer = client.get(feed["url"].removeprefix("http://feed:8086"))
        assert (answer.status_code, answer.content_type) == (200, "application/json")


def test_the_body_stays_within_a_minute_and_changes_with_the_next(client, seconds):
    first = client.get(STATUS)
    seconds.now_s = 59.9
    assert client.get(STATUS).data == first.data
    seconds.now_s = 60.0
    second = client.get(STATUS)
    assert second.json["lastUpdatedOther"] == first.json["lastUpdatedOther"] + 60
    assert second.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize(
    ("known", "condition"), [("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")]
)
def test_an_unchanged_feed_is_answered_304_without_a_body(client, seconds, known, condition):
    first = client.get(STATUS).headers
    assert first["Last-Modified"] == "Tue, 10 Mar 2026 07:00:00 GMT"
    headers = {condition: first[known]}
    again = client.get(STATUS, headers=headers)
    assert (again.status_code, again.data) == (304, b"")
    seconds.now_s = 60.0
    assert client.get(STATUS, headers=headers).status_code == 200


def test_gzip_is_given_to_those_who_accept_it(client):
    plain = client.get(STATUS)
    packed = client.get(STATUS, headers={"Accept-Encoding": "gzip, deflate"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["ETag"] == plain.headers["ETag"]
    known = {"Accept-Encoding": "gzip", "If-None-Match": plain.headers["ETag"]}
    assert client.get(STATUS, headers=known).status_code == 304


def test_the_truth_explains_the_difference_of_two_polls(client, seconds):
    first = client.get(STATUS)
    seconds.now_s = 1800.0
    lines = [json.loads(text) for text in client.get("/truth.jsonl").data.splitlines()]
    net = Counter()
    for move in lines:
        net[int(move["station_id"])] += move["delta"] if move["kind"] == "dropoff" else -move["delta"]
    before, after = bikes(first), bikes(client.get(STATUS))
    assert len(lines) > 20
    assert {
        station: after[station] - before[station] for station in before if after[station] != before[station]
    } == {station: change for station, change in net.items() if change}


def test_the_truth_does_not_depend_on_how_often_it_was_polled(client, seconds, source):
    for second in range(0, 1800, 13):
        seconds.now_s = float(second)
        client.get(STATUS)
    seconds.now_s = 1800.0
    city = City(seed=7, start_at=START, stations=150)
    expected = [move.at for move in city.advance_to(START + timedelta(minutes=30))]
    found = [json.loads(text)["at"] for text in client.get("/truth.jsonl").data.splitlines()]
    assert [datetime.fromisoformat(at) for at in found] == expected


@pytest.mark.parametrize(
    "since", ["2026-03-10T07:20:00Z", "2026-03-10T08:20:00+01:00", "2026-03-10 07:20:00"]
)
def test_the_truth_can_be_read_from_a_time_on(client, seconds, since):
    seconds.now_s = 1800.0
    everything = client.get("/truth.jsonl").data.splitlines()
    found = client.get(f"/truth.jsonl?since={since}").data.splitlines()
    assert found == [text for text in everything if json.loads(text)["at"] > "2026-03-10T07:20:00"]
    assert 0 < len(found) < len(everything)
    before = client.get(f"/truth.jsonl?until={since}").data.splitlines()
    assert before + found == everything


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_health_has_the_simulated_time(client, path):
    assert client.get(path).json == {"status": "ok", "simulated_at": "2026-03-10T07:00:00+00:00"}


BAD_ANOMALIES = [
    *(b"", b"{}", b'{"kind":"plague"}', b'{"kind":"empty","polls":-1}'),
    *(b'{"kind":"empty","feed":"gbfs"}', b'{"kind":"empty","pols":1}'),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("GET", "/vehicle_status.json", b"", 404, "not_found"),
        ("GET", "/nothing", b"", 404, "not_found"),
        ("GET", "/truth.jsonl?since=yesterday", b"", 400, "bad_request"),
        *(("POST", "/anomaly", body, 400, "bad_request") for body in BAD_ANOMALIES),
    ],
)
def test_a_bad_request_is_an_error_in_json(client, method, path, body, status, reason):
    answer = client.open(path, method=method, data=body)
    assert (answer.status_code, answer.json["error"]["reason"]) == (status, reason)
    assert answer.json["error"]["message"]


def test_a_forced_anomaly_spoils_the_next_answers_only(client):
    good = client.get(STATUS)
    forced = client.post("/anomaly", json={"kind": "empty", "polls": 2})
    assert forced.json == {"kind": "empty", "polls": 2, "feed": "station_status"}
    assert client.get("/station_information.json").json["data"]["stations"]
    assert [len(client.get(STATUS).json["data"]["stations"]) for _ in range(3)] == [0, 0, 150]
    assert client.get(STATUS).data == good.data


def test_a_spoilt_body_never_hides_behind_the_good_ones_etag(client):
    etag = client.get(STATUS).headers["ETag"]
    client.post("/anomaly", json={"kind": "truncated"})
    assert client.get(STATUS, headers={"If-None-Match": etag}).status_code == 200


def test_a_frozen_feed_repeats_its_last_good_answer(client, seconds):
    good = client.get(STATUS)
    client.post("/anomaly", json={"kind": "frozen", "polls": 2})
    for seconds.now_s in (60.0, 120.0):
        frozen = client.get(STATUS)
        assert (frozen.data, frozen.headers["Last-Modified"]) == (good.data, good.headers["Last-Modified"])
    assert client.get(STATUS).json["lastUpdatedOther"] == good.json["lastUpdatedOther"] + 120


@pytest.mark.parametrize(("kind", "status"), [("too_many_requests", 429), ("unavailable", 503)])
def test_a_refusal_carries_retry_after_and_no_etag(client, kind, status):
    client.post("/anomaly", json={"kind": kind})
    answer = client.get(STATUS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "5")
    assert "ETag" not in answer.headers


def test_a_scheduled_anomaly_follows_simulated_time(source, seconds):
    planned = Window(Kind.HTML, START + timedelta(minutes=1), START + timedelta(minutes=2))
    client = create_feed_app(source, Anomalies(windows=[planned])).test_client()
    found = []
    for seconds.now_s in (0.0, 60.0, 120.0):
        found.append(client.get(STATUS).content_type)
    assert found == ["application/json", "text/html; charset=utf-8", "application/json"]


def test_a_recording_is_served_as_it_is_and_has_no_truth(tmp_path):
    (tmp_path / "station_status.json").write_bytes(b'{"data": {"stations": [ ]}}')
    client = create_feed_app(open_recording(tmp_path)).test_client()
    assert client.get(STATUS).data == b'{"data": {"stations": [ ]}}'
    assert client.get("/station_information.json").status_code == 404
    assert client.get("/truth.jsonl").status_code == 404


def test_a_damaged_series_is_an_error_in_json(tmp_path):
    start = START.isoformat()
    (tmp_path / "s.jsonl").write_text(
        f'{{"captured":"{start}","doc":{{}}}}\n{{"captured":"{start}","doc":{{}}}}\nx\n'
    )
    client = create_feed_app(open_recording(tmp_path / "s.jsonl")).test_client()
    answer = client.get(STATUS)
    assert (answer.status_code, answer.json["error"]["reason"]) == (500, "recording_damaged")
