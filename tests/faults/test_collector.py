"""The collector's process between a feed server that misbehaves and Pub/Sub."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.fakes.faults import FewerIds, LoseAnswer
from tests.fakes.feeds import body, feed_server, send
from tests.fakes.server_process import ServerProcess
from tests.faults.bench import INFORMATION, PROJECT, SNAPSHOTS

FEEDS = """
[[systems]]
id = "faulty"
station_status_url = "{url}/status"
station_information_url = "{url}/information"
poll_s = 1
"""


@pytest.fixture(scope="module")
def feeds():
    with feed_server() as server:
        yield server


@pytest.fixture(scope="module")
def collector(running, feeds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("collector")
    (folder / "feeds.toml").write_text(FEEDS.format(url=feeds.url), "utf-8")
    env = {
        "PROJECT_ID": PROJECT,
        "PUBSUB_EMULATOR_HOST": running.pubsub.address,
        "FEEDS_FILE": str(folder / "feeds.toml"),
        "COLLECTOR_FETCH_ATTEMPTS": "1",
        "COLLECTOR_READ_TIMEOUT_S": "3",
        "COLLECTOR_PUBLISH_TIMEOUT_S": "4",
        "PATH": os.environ["PATH"],
    }
    service = ServerProcess("pmp_collector.wsgi:app", env, folder)
    service.start()
    yield service
    service.kill()


@pytest.fixture
def collect(collector):
    def poll(feed="station_status"):
        answer = httpx.post(f"{collector.url}/collect/{feed}", timeout=60, trust_env=False)
        assert answer.status_code in {200, 502}
        return answer.json()["results"][0]["outcome"]

    return poll


def status(number=0, *, stations=2, **fields):
    """A body of its own, as long as its time is."""
    return body(stations, **{"last_updated": int(time.time()) - 1000 + number, **fields})


def test_a_feed_that_misbehaves_disturbs_no_later_poll(bench, collect, feeds):
    """17: feed frozen, cut off, HTML, 304, 429, 503, hanging, empty, with nonsense, a station less"""
    whole = status()
    negative = status(3).replace(b'"num_bikes_available" : 1', b'"num_bikes_available" : -1')
    double = status(4).replace(b"19179944125", b"19179944124")
    bad = [
        (whole[:-10], 200),
        (b"<html>maintenance</html>", 200),
        (b"", 200),
        (b"", 304),
        (b"slow down", 429),
        (b"", 503),
        (b"gone", 404),
    ]
    odd = [status(1, ttl=0), status(2, stations=0), negative, double, status(5, stations=1)]
    good = iter(status(n) for n in range(100, 200))
    wanted = []

    def serve_good():
        wanted.append(next(good))
        feeds.serve("/status", wanted[-1])
        assert collect() == "published"
        assert collect() == "unchanged"  # frozen

    serve_good()
    for content, code in bad:
        feeds.serve("/status", content, code)
        assert collect() == "failed"
        serve_good()
    feeds.routes["/status"] = lambda handler: send(handler, 200, whole[:20], {"content_length": "5000"})
    assert collect() == "failed"
    serve_good()
    for content in odd:
        feeds.serve("/status", content)
        assert collect() == "published"
        wanted.append(content)
        serve_good()
    outcome = bench.settle()
    assert outcome.dead == ()
    written = sorted(str(row["payload"]) for row in bench.rows("feed_snapshots"))
    assert [json.loads(payload) for payload in written] == [
        json.loads(content) for content in sorted(wanted, key=lambda one: one.decode())
    ]


def test_polls_at_the_same_time_publish_once(bench, collect, feeds):
    """21: collector fired twice, polls that overlap"""
    polls = 8
    for number in range(3):
        feeds.serve("/status", status(200 + number))
        with ThreadPoolExecutor(polls) as pool:
            outcomes = list(pool.map(lambda _: collect(), range(polls)))
        assert sorted(outcomes) == ["published"] + ["unchanged"] * (polls - 1)
    bench.settle()
    assert len(bench.broker.of(SNAPSHOTS)) == len(bench.rows("feed_snapshots")) == 3


def test_a_poll_whose_publish_is_not_confirmed_is_done_again(bench, collect, feeds):
    """20: snapshot's publish confirmed in part, refused, its answer lost"""
    feeds.serve("/status", status(300))
    bench.pubsub.faults.next.append(FewerIds())
    assert collect() == "failed"
    assert collect() == "published"
    feeds.serve("/status", status(301))
    with bench.pubsub.faults.outage():
        assert collect() == "failed"
    bench.pubsub.faults.next.append(LoseAnswer())
    assert collect() == "published"
    outcome = bench.settle()
    assert {row["event_id"] for row in bench.rows("feed_snapshots")} == {
        message.attributes["ce-id"] for message in bench.broker.of(SNAPSHOTS)
    }
    assert len({row["event_id"] for row in bench.rows("feed_snapshots")}) == 2
    assert outcome.duplicates == len(bench.broker.of(SNAPSHOTS)) - 2


def test_bad_stations_are_dead_letters_and_the_others_rows(bench, collect, feeds):
    """17: stations without an id among good ones"""
    stations = [
        {"station_id": str(n), "name": "N", "lat": 48.8, "lon": 2.3, "capacity": 9} for n in range(50)
    ]
    stations += [{"name": "nobody"}, 7, {"station_id": None}]
    feeds.serve(
        "/information",
        json.dumps({"last_updated": int(time.time()), "data": {"stations": stations}}).encode(),
    )
    assert collect("station_information") == "published"
    outcome = bench.settle()
    assert len(bench.rows("station_information")) == 50
    assert set(outcome.reasons) == {"station_invalid"}
    given_up = [
        station for row in outcome.dead for station in json.loads(row["data"])["payload"]["data"]["stations"]
    ]
    assert sorted(map(str, given_up)) == sorted(map(str, stations[50:]))
    assert len(bench.broker.of(INFORMATION)) == 1
