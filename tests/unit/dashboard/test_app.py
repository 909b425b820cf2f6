"""The HTTP contract, over marts that answer from memory."""

import gzip
from datetime import timedelta

import pytest

from pmp_dashboard.app import create_app
from pmp_dashboard.cached_marts import STATIONS_ROOM
from pmp_dashboard.marts import System
from pmp_runtime.bigquery.queries import BigQueryUnavailable
from tests.unit.dashboard.conftest import NEWEST

VELIB = System(id="velib", city_id="paris", timezone="Europe/Paris", newest_feed_at=NEWEST, stations_known=3)
DOWN = BigQueryUnavailable("BigQuery: health: ServiceUnavailable")
STATIONS, TOTALS, FEATURES = (f"/api/{name}?system=velib" for name in ("stations", "totals", "features"))
STATION = "/api/station/velib/1"
ROUTES = ["/api/health", STATIONS, TOTALS, STATION, FEATURES]


def test_health_is_what_the_marts_say(http):
    answer = http.get("/api/health")
    system = {
        "system_id": "velib",
        "city_id": "paris",
        "timezone": "Europe/Paris",
        "newest_feed_ts": "2026-01-24T22:28:00Z",
        "stations_known": 3,
    }
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    expected = {"generated_ts": "2026-01-24T22:30:00Z", "systems": [system], "topics": [], "refresh_s": 60.0}
    assert answer.json == expected


@pytest.mark.parametrize(
    ("path", "query", "body"),
    [
        (STATIONS, "stations", {"stations": [{"name": "<b>Bastille</b>", "lat": 48.85}]}),
        (FEATURES, "features", {"as_of": "2026-01-24T22:28:00Z", "features": {"1": {"turnover_24h": 7.0}}}),
    ],
)
def test_a_query_gets_what_is_known_of_its_system(http, marts, path, query, body):
    answer = http.get(path)
    assert (answer.status_code, answer.mimetype, answer.json) == (200, "application/json", body)
    assert marts.asked == [("health",), (query, VELIB)]


@pytest.mark.parametrize(
    ("hours", "period"), [(None, 24), (1, 24), (24, 24), (25, 168), (168, 168), (169, 744), (744, 744)]
)
def test_totals_are_those_of_the_requested_hours_cut_from_a_longer_period(http, marts, hours, period):
    answer = http.get(TOTALS + (f"&hours={hours}" if hours else "")).json
    newest = NEWEST.replace(minute=0)
    expected = [f"{newest - timedelta(hours=ago):%Y-%m-%dT%H:%M:%SZ}" for ago in range(hours or 24)]
    assert answer["hours"] == [{"hour_ts": hour} for hour in reversed(expected)]
    assert marts.asked == [("health",), ("totals", VELIB, period)]


@pytest.mark.parametrize(
    ("path", "station", "information", "values"),
    [
        ("1", "1", {"name": "Bastille"}, {"turnover_24h": 7.0}),
        ("a%20%C3%A9%2Fb", "a é/b", None, {}),
    ],
)
def test_a_station_has_its_own_history_and_its_part_of_the_systems_answers(
    http, marts, path, station, information, values
):
    answer = http.get(f"/api/station/velib/{path}")
    features = {"as_of": "2026-01-24T22:28:00Z", "values": values}
    expected = {"station_id": station, "history": [], "information": information, "features": features}
    assert (answer.status_code, answer.json) == (200, expected)
    assert marts.asked == [("health",), ("known", VELIB), ("features", VELIB), ("history", VELIB, station)]


def test_unknown_stations_and_systems_cost_no_query_each(http, marts):
    for number in range(500):
        assert http.get(f"/api/station/velib/nowhere-{number}").status_code == 404
        assert http.get(f"/api/stations?system=nowhere-{number}").status_code == 404
    assert marts.questions() == ["health", "known"]


def test_all_lengths_of_totals_cost_three_queries(http, marts):
    for hours in range(1, 745):
        assert http.get(f"{TOTALS}&hours={hours}").status_code == 200
    assert marts.questions() == ["health", "totals", "totals", "totals"]


def test_a_client_that_requests_every_station_is_refused_and_takes_nothing_from_the_others(http, marts):
    for path in ROUTES:
        http.get(path)
    first = len(marts.asked)
    answers = [http.get(f"/api/station/velib/{number}") for number in range(1, 200)]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) - len(refused) == STATIONS_ROOM
    assert {
        (answer.status_code, answer.headers["Retry-After"], answer.json["error"]["reason"])
        for answer in refused
    } == {(429, "5", "too_many_questions")}
    assert [http.get(path).status_code for path in ROUTES] == [200] * len(ROUTES)
    assert marts.questions()[first:] == ["history"] * (STATIONS_ROOM - 1)


LONG = "x" * 101


@pytest.mark.parametrize(
    ("status", "reason", "paths"),
    [
        (
            400,
            "bad_request",
            [
                *("/api/stations", "/api/stations?system=", f"/api/stations?system={LONG}"),
                *("/api/stations?system=a%00b", f"{STATIONS}&limit=3"),
                *(f"{TOTALS}&hours={hours}" for hours in ("0", "745", "1.5", "x")),
                *(
                    "/api/totals?hours=24",
                    f"/api/station/velib/{LONG}",
                    f"{STATION}?hours=2",
                    "/api/features",
                ),
            ],
        ),
        (
            404,
            "unknown_system",
            [
                *(f"/api/{name}?system=bixi" for name in ("stations", "totals", "features")),
                "/api/station/bixi/1",
            ],
        ),
        (404, "unknown_station", ["/api/station/velib/nowhere"]),
        (404, "not_found", ["/api", "/static/../app.py", "/static/nothing.js"]),
    ],
)
def test_a_bad_request_is_an_error_in_json_and_queries_nothing_of_its_own(http, marts, status, reason, paths):
    for path in paths:
        answer = http.get(path)
        assert (answer.status_code, answer.json["error"]["reason"]) == (status, reason), path
    assert set(marts.questions()) <= {
        "unknown_system": {"health"},
        "unknown_station": {"health", "known"},
    }.get(reason, set())


@pytest.mark.parametrize("path", ROUTES)
def test_without_bigquery_the_answer_is_503_and_is_not_cached(http, marts, path):
    marts.fail_with = DOWN
    answer = http.get(path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json == {"error": {"reason": "unavailable", "message": str(DOWN)}}
    marts.fail_with = None
    assert http.get(path).status_code == 200


@pytest.mark.parametrize("path", ROUTES)
def test_a_second_request_costs_no_query(http, marts, path):
    first = http.get(path)
    asked = list(marts.asked)
    assert (http.get(path).data, marts.asked) == (first.data, asked)


def test_answers_are_cached_by_their_parameters(http, marts):
    for path in (TOTALS, f"{TOTALS}&hours=48", STATION, "/api/station/velib/2"):
        http.get(path)
    assert marts.questions() == ["health", "totals", "totals", "known", "features", "history", "history"]


def test_an_answer_is_compressed_if_the_client_accepts_it(http):
    packed = http.get("/api/health", headers={"Accept-Encoding": "gzip, br"})
    plain = http.get("/api/health", headers={"Accept-Encoding": "identity"})
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data) == plain.data
    assert plain.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/static/main.js", STATIONS, "/api/stations", "/nowhere", "/health"])
def test_every_answer_lets_the_browser_load_and_run_only_our_own_files(http, path):
    headers = http.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    own = dict.fromkeys(("script-src", "style-src", "img-src", "connect-src"), "'self'")
    none = dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    assert policy == own | none
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/static/main.js", "text/javascript"),
        ("/static/style.css", "text/css"),
        ("/static/icon.svg", "image/svg+xml"),
        ("/static/vendor/leaflet.js", "text/javascript"),
    ],
)
def test_files_have_the_type_that_browsers_demand_and_are_revalidated_by_tag(http, path, kind):
    answer = http.get(path)
    assert (answer.status_code, answer.mimetype) == (200, kind)
    assert answer.headers["Cache-Control"] == "no-cache"
    assert http.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_nothing_can_be_written(http, method):
    for path in ["/", *ROUTES]:
        assert getattr(http, method)(path).status_code == 405


def test_readiness_needs_bigquery_and_health_does_not(marts):
    def refuse():
        raise DOWN

    http = create_app(marts, project="p", check_ready=refuse, fresh_s=20.0).test_client()
    assert (http.get("/readyz").status_code, http.get("/health").status_code) == (503, 200)
