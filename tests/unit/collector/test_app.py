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

CONTRACT_KEYS = {"system", "feed", "outcome", "stations", "bytes", "message_id", "feed_ts", "detail"}
SCHEDULED = {"X-CloudScheduler-ScheduleTime": "2026-03-10T08:00:00Z"}


class Collector:
    """The application on fakes.

    Attributes:
        announced: results of each collection.
        not_ready: raised by the readiness check.
    """

    def __init__(self) -> None:
        self.feeds = FakeFeeds()
        self.publisher = RecordingPublisher()
        self.announced: list[list[PollResult]] = []
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
            lambda results: self.announced.append(list(results)),
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
    return System(
        id=name,
        station_status_url=f"https://{name}.test/station_status",
        station_information_url=f"https://{name}.test/station_information",
    )


@pytest.fixture
def collector() -> Collector:
    return Collector()


def outcomes(response) -> dict[str, str]:
    return {result["system"]: result["outcome"] for result in response.json["results"]}


@pytest.mark.parametrize("feed", ["station_status", "station_information"])
def test_a_collection_polls_every_system_and_tells_what_came_of_it(collector, feed):
    response = collector.http.post(f"/collect/{feed}")
    assert response.status_code == 200
    assert response.json == {
        "results": [
            {
                "system": name,
                "feed": feed,
                "outcome": "published",
                "stations": 2,
                "bytes": len(body()),
                "message_id": "0",
                "feed_ts": "2026-03-10T08:00:00Z",
                "detail": None,
            }
            | {"message_id": result["message_id"]}
            for name, result in zip("ab", response.json["results"], strict=True)
        ]
    }


def test_every_outcome_has_exactly_the_keys_of_the_contract(collector):
    collector.http.post("/collect/station_status?system=a")
    collector.fail("b")
    response = collector.http.post("/collect/station_status")
    assert outcomes(response) == {"a": "unchanged", "b": "failed"}
    assert [set(result) for result in response.json["results"]] == [CONTRACT_KEYS] * 2
    assert [result["detail"] for result in response.json["results"]] == ["same body", "HTTP 500"]


@pytest.mark.parametrize(("failing", "code"), [("", 200), ("a", 200), ("ab", 502)])
def test_only_a_collection_in_which_every_system_failed_is_a_bad_gateway(collector, failing, code):
    collector.fail(*failing)
    response = collector.http.post("/collect/station_status")
    assert response.status_code == code
    assert [result["outcome"] for result in response.json["results"]].count("failed") == len(failing)


def test_one_system_can_be_asked_for(collector):
    assert outcomes(collector.http.post("/collect/station_status?system=b")) == {"b": "published"}
    collector.fail("b")
    assert collector.http.post("/collect/station_status?system=b").status_code == 502


@pytest.mark.parametrize("name", ["bixi", "", "a,b"])
def test_an_unknown_system_is_not_found(collector, name):
    response = collector.http.post("/collect/station_status", query_string={"system": name})
    assert response.status_code == 404
    assert response.json == {
        "error": {"reason": "unknown_system", "message": f"system {name!r} is not in the feeds file"}
    }
    assert collector.announced == []


def test_every_poll_is_announced_the_unchanged_and_the_failed_too(collector):
    collector.http.post("/collect/station_status")
    collector.fail("b")
    collector.http.post("/collect/station_status")
    assert [[r.outcome for r in results] for results in collector.announced] == [
        ["published", "published"],
        ["unchanged", "failed"],
    ]


def test_the_schedule_polls_what_is_due_and_a_person_polls_all(collector):
    collector.http.post("/collect/station_status", headers=SCHEDULED)
    assert collector.http.post("/collect/station_status", headers=SCHEDULED).json == {"results": []}
    assert outcomes(collector.http.post("/collect/station_status")) == {"a": "unchanged", "b": "unchanged"}
    one = collector.http.post("/collect/station_status?system=a", headers=SCHEDULED)
    assert outcomes(one) == {"a": "unchanged"}


def test_a_schedule_at_which_nothing_is_due_is_no_failure(collector):
    collector.fail("a", "b")
    assert collector.http.post("/collect/station_status", headers=SCHEDULED).status_code == 502
    for _ in range(2):
        collector.http.post("/collect/station_information", headers=SCHEDULED)
    assert collector.http.post("/collect/station_information", headers=SCHEDULED).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_health_asks_no_dependency(collector, path):
    collector.not_ready = PublishFailed("down")
    assert collector.http.get(path).status_code == 200


def test_readiness_asks_pubsub(collector):
    assert collector.http.get("/readyz").status_code == 200
    collector.not_ready = PublishFailed("pmp-events: ServiceUnavailable")
    response = collector.http.get("/readyz")
    assert response.status_code == 503
    assert response.json == {"error": {"reason": "not_ready", "message": "pmp-events: ServiceUnavailable"}}


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", "/collect/station_status", 405, "method_not_allowed"),
        ("GET", "/simulate", 405, "method_not_allowed"),
        ("POST", "/collect/free_bike_status", 404, "not_found"),
        ("POST", "/collect/", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/static/app.js", 404, "not_found"),
    ],
)
def test_what_is_no_route_is_an_error_in_json(collector, method, path, code, reason):
    response = collector.http.open(path, method=method)
    assert (response.status_code, response.json["error"]["reason"]) == (code, reason)
    assert set(response.json["error"]) == {"reason", "message"}


def test_a_request_that_is_too_large_is_refused(collector):
    response = collector.http.post("/simulate", data=b" " * 65_537)
    assert (response.status_code, response.json["error"]["reason"]) == (413, "request_entity_too_large")


def test_a_bug_shows_nothing_of_itself(collector):
    collector.feeds.give("https://a.test/station_status", RuntimeError("secret"))
    response = collector.http.post("/collect/station_status")
    assert response.status_code == 500
    assert response.json == {"error": {"reason": "internal", "message": "unexpected error; see the log"}}


def test_a_bug_in_a_lookup_is_not_taken_for_an_unknown_system(collector):
    collector.feeds.give("https://a.test/station_status", KeyError("x"))
    assert collector.http.post("/collect/station_status?system=a").status_code == 500


def test_a_simulation_publishes_as_many_events_as_asked_for(collector):
    response = collector.http.post(
        "/simulate", json={"events": 25, "stations": 3, "rate_per_s": 1000, "seed": 7, "city_id": "paris"}
    )
    assert response.status_code == 200
    assert set(response.json) == {"run", "published", "seconds"}
    assert response.json["published"] == 25
    assert [topic for topic, _ in collector.publisher.published] == ["pmp-sensor-events"] * 25


def test_an_empty_body_simulates_the_defaults(collector):
    assert collector.http.post("/simulate").json["published"] == 20


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"{", "truncated"),
        (b"nonsense", "malformed"),
        (b"[]", "Expected `object`"),
        (b'{"city_id":"\xff"}', "decode byte"),
        (b'{"colour":1}', "unknown field `colour`"),
        (b'{"events":-1}', "$.events"),
        (b'{"events":0}', "$.events"),
        (b'{"events":"10"}', "$.events"),
        (b'{"events":100001}', "$.events"),
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
def test_a_simulation_that_makes_no_sense_is_a_bad_request(collector, sent, said):
    response = collector.http.post("/simulate", data=sent)
    assert response.status_code == 400
    assert said in response.json["error"]["message"]
    assert collector.publisher.published == []


def test_a_simulation_that_pubsub_does_not_confirm_is_unavailable(collector):
    collector.publisher.fail_with = PublishFailed("pmp-sensor-events: RetryError")
    response = collector.http.post("/simulate", json={"events": 1})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert response.json == {"error": {"reason": "unavailable", "message": "pmp-sensor-events: RetryError"}}


def test_a_collection_that_pubsub_does_not_confirm_is_a_failure_of_every_system(collector):
    collector.publisher.fail_with = PublishFailed("pmp-events: RetryError")
    response = collector.http.post("/collect/station_status")
    assert response.status_code == 502
    assert {result["detail"] for result in response.json["results"]} == {"pmp-events: RetryError"}
