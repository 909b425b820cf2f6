"""The collector's HTTP contract."""

import pytest
from flask.testing import FlaskClient

from pmp_collector.app import create_app
from pmp_collector.config import System
from pmp_collector.poll import Poller, PollResult
from pmp_collector.sensor_simulation import SensorSimulation
from pmp_schema.errors import PublishFailed
from pmp_schema.topology import TOPOLOGY
from tests.fakes.feeds import FakeFeeds, body, status
from tests.fakes.recording import RecordingPublisher
from tests.unit.collector.conftest import explicit

CONTRACT_KEYS = {"system", "feed", "outcome", "stations", "bytes", "message_id", "feed_ts", "detail"}
STATUS = "/collect/station_status"
SCHEDULED = {"X-CloudScheduler-ScheduleTime": "2026-03-10T08:00:00Z"}


class Collector:
    """The application on fakes.

    Attributes:
        polls: results of each collection.
        not_ready: raised by the readiness check.
    """

    def __init__(self) -> None:
        self.feeds = FakeFeeds()
        self.publisher = RecordingPublisher()
        self.polls: list[list[PollResult]] = []
        self.not_ready: Exception | None = None
        self.now_s = 0.0
        for name in "ab":
            for feed in ("station_status", "station_information"):
                self.feeds.give(f"https://{name}.test/{feed}", body())
        simulation = SensorSimulation(
            self.publisher,
            TOPOLOGY.topics["sensor-events"],
            sleep=lambda _: None,
            monotonic=lambda: self.now_s,
        )
        app = create_app(
            Poller([system("a"), system("b")], self.feeds.get, self.publisher, lambda: self.now_s),
            simulation.run,
            lambda results: self.polls.append(list(results)),
            project="pmp-local",
            check_ready=self.check_ready,
        )
        self.http: FlaskClient = app.test_client()

    def check_ready(self) -> None:
        if self.not_ready is not None:
            raise self.not_ready

    def fail(self, *names: str, feed: str = "station_status") -> None:
        for name in names:
            self.feeds.give(f"https://{name}.test/{feed}", status(500))


def system(name: str) -> System:
    return explicit(name, f"https://{name}.test/station_status", f"https://{name}.test/station_information")


@pytest.fixture
def collector() -> Collector:
    return Collector()


def outcomes(response) -> dict[str, str]:
    return {result["system"]: result["outcome"] for result in response.json["results"]}


@pytest.mark.parametrize("feed", ["station_status", "station_information"])
def test_a_collection_polls_every_system_and_returns_the_outcomes(collector, feed):
    response = collector.http.post(f"/collect/{feed}")
    assert response.status_code == 200
    results = response.json["results"]
    assert sorted(result.pop("message_id") for result in results) == ["0", "1"]
    same = {"feed": feed, "outcome": "published", "stations": 2, "bytes": len(body())}
    same |= {"feed_ts": "2026-03-10T08:00:00Z", "detail": None}
    assert results == [{"system": name, **same} for name in "ab"]


def test_every_outcome_has_exactly_the_keys_of_the_contract_and_is_published(collector):
    collector.http.post(f"{STATUS}?system=a")
    collector.fail("b")
    response = collector.http.post(STATUS)
    assert outcomes(response) == {"a": "unchanged", "b": "failed"}
    assert [set(result) for result in response.json["results"]] == [CONTRACT_KEYS] * 2
    assert [result["detail"] for result in response.json["results"]] == ["same body", "HTTP 500"]
    published = [[result.outcome for result in results] for results in collector.polls]
    assert published == [["published"], ["unchanged", "failed"]]


@pytest.mark.parametrize(
    ("failing", "query", "code"),
    [("", "", 200), ("a", "", 200), ("ab", "", 502), ("a", "?system=b", 200), ("b", "?system=b", 502)],
)
def test_only_a_collection_in_which_every_system_failed_is_a_bad_gateway(collector, failing, query, code):
    collector.fail(*failing)
    response = collector.http.post(STATUS + query)
    assert response.status_code == code
    expected = {name: "failed" if name in failing else "published" for name in ("b" if query else "ab")}
    assert outcomes(response) == expected


@pytest.mark.parametrize("name", ["bixi", "", "a,b"])
def test_an_unknown_system_is_not_found(collector, name):
    response = collector.http.post(STATUS, query_string={"system": name})
    assert response.status_code == 404
    message = f"system {name!r} is not in the feeds file"
    assert response.json == {"error": {"reason": "unknown_system", "message": message}}
    assert collector.polls == []


def test_the_schedule_polls_what_is_due_and_a_person_polls_all(collector):
    collector.http.post(STATUS, headers=SCHEDULED)
    nothing_due = collector.http.post(STATUS, headers=SCHEDULED)
    assert (nothing_due.status_code, nothing_due.json) == (200, {"results": []})
    assert outcomes(collector.http.post(STATUS)) == {"a": "unchanged", "b": "unchanged"}
    one = collector.http.post(f"{STATUS}?system=a", headers=SCHEDULED)
    assert outcomes(one) == {"a": "unchanged"}


def test_only_readiness_asks_pubsub(collector):
    assert collector.http.get("/readyz").status_code == 200
    collector.not_ready = PublishFailed("pmp-events: ServiceUnavailable")
    response = collector.http.get("/readyz")
    assert response.status_code == 503
    assert response.json == {"error": {"reason": "not_ready", "message": "pmp-events: ServiceUnavailable"}}
    assert [collector.http.get(path).status_code for path in ("/health", "/healthz")] == [200, 200]


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", STATUS, 405, "method_not_allowed"),
        ("GET", "/simulate", 405, "method_not_allowed"),
        ("POST", "/collect/free_bike_status", 404, "not_found"),
        ("GET", "/static/app.js", 404, "not_found"),
    ],
)
def test_an_unknown_route_is_an_error_in_json(collector, method, path, code, reason):
    response = collector.http.open(path, method=method)
    assert (response.status_code, response.json["error"]["reason"]) == (code, reason)
    assert set(response.json["error"]) == {"reason", "message"}


def test_a_request_that_is_too_large_is_refused(collector):
    response = collector.http.post("/simulate", data=b" " * 65_537)
    assert (response.status_code, response.json["error"]["reason"]) == (413, "request_entity_too_large")


@pytest.mark.parametrize("bug", [RuntimeError("secret"), KeyError("x")])
def test_a_bug_shows_nothing_of_itself_and_is_not_taken_for_an_unknown_system(collector, bug):
    collector.feeds.give("https://a.test/station_status", bug)
    response = collector.http.post(f"{STATUS}?system=a")
    assert response.status_code == 500
    assert response.json == {"error": {"reason": "internal", "message": "unexpected error; see the log"}}


@pytest.mark.parametrize(
    ("wanted", "published"),
    [(None, 20), ({"events": 25, "stations": 3, "rate_per_s": 1000, "seed": 7, "city_id": "paris"}, 25)],
)
def test_a_simulation_publishes_the_requested_events(collector, wanted, published):
    response = collector.http.post("/simulate", **({"json": wanted} if wanted else {}))
    assert response.status_code == 200
    assert set(response.json) == {"run", "published", "seconds"}
    assert response.json["published"] == published
    assert [topic for topic, _ in collector.publisher.published] == ["pmp-sensor-events"] * published


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"{", "truncated"),
        (b"nonsense", "malformed"),
        (b"[]", "Expected `object`"),
        (b'{"city_id":"\xff"}', "decode byte"),
        (b'{"colour":1}', "unknown field `colour`"),
        *((b'{"events":%s}' % value, "$.events") for value in (b"-1", b"0", b'"10"', b"100001")),
        (b'{"stations":0}', "$.stations"),
        (b'{"rate_per_s":-5}', "$.rate_per_s"),
        (b'{"rate_per_s":0}', "$.rate_per_s"),
        (b'{"rate_per_s":1e400}', ""),
        (b'{"rate_per_s":NaN}', "malformed"),
        (b'{"city_id":""}', "$.city_id"),
        (b'{"events":1000,"rate_per_s":1}', "1000 s; a request may take 300 s"),
        (b'{"events":1000,"rate_per_s":null}', "1500 s; a request may take 300 s"),
    ],
)
def test_an_invalid_simulation_is_a_bad_request(collector, sent, message):
    response = collector.http.post("/simulate", data=sent)
    assert response.status_code == 400
    assert message in response.json["error"]["message"]
    assert collector.publisher.published == []


def test_without_a_confirmation_a_simulation_is_unavailable_and_a_collection_a_bad_gateway(collector):
    collector.publisher.fail_with = PublishFailed("pmp-sensor-events: RetryError")
    response = collector.http.post("/simulate", json={"events": 1})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert response.json == {"error": {"reason": "unavailable", "message": "pmp-sensor-events: RetryError"}}
    response = collector.http.post(STATUS)
    assert response.status_code == 502
    assert {result["detail"] for result in response.json["results"]} == {"pmp-sensor-events: RetryError"}
