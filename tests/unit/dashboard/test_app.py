"""The HTTP contract, over marts that answer from memory."""

import gzip
import json
from datetime import timedelta

import pytest

from pmp_dashboard.app import create_app
from pmp_dashboard.board import STATIONS_ROOM
from pmp_dashboard.marts import System
from pmp_runtime.bigquery.queries import BigQueryUnavailable
from tests.unit.dashboard.conftest import NEWEST

VELIB = System(id="velib", city_id="paris", timezone="Europe/Paris", newest_feed_at=NEWEST, stations_known=3)
ROUTES = [
    "/api/health",
    "/api/stations?system=velib",
    "/api/totals?system=velib",
    "/api/station/velib/1",
    "/api/features?system=velib",
]


def test_health_is_what_the_marts_say(http):
    answer = http.get("/api/health")
    assert (answer.status_code, answer.content_type, answer.json) == (
        200,
        "application/json",
        {
            "generated_ts": "2026-01-24T22:30:00Z",
            "systems": [
                {
                    "system_id": "velib",
                    "city_id": "paris",
                    "timezone": "Europe/Paris",
                    "newest_feed_ts": "2026-01-24T22:28:00Z",
                    "stations_known": 3,
                }
            ],
            "topics": [],
            "refresh_s": 60.0,
        },
    )


@pytest.mark.parametrize(
    ("path", "question", "body"),
    [
        (
            "/api/stations?system=velib",
            ("stations", VELIB),
            {"stations": [{"name": "<b>Bastille</b>", "lat": 48.85}]},
        ),
        (
            "/api/features?system=velib",
            ("features", VELIB),
            {"as_of": "2026-01-24T22:28:00Z", "features": {"1": {"turnover_24h": 7.0}}},
        ),
    ],
)
def test_a_question_goes_to_the_marts_with_what_is_known_of_its_system(http, marts, path, question, body):
    answer = http.get(path)
    assert (answer.status_code, answer.json) == (200, body)
    assert marts.asked == [("health",), question]


@pytest.mark.parametrize(
    ("hours", "asked"),
    [
        ("", 24),
        ("&hours=1", 24),
        ("&hours=24", 24),
        ("&hours=25", 168),
        ("&hours=168", 168),
        ("&hours=169", 744),
        ("&hours=744", 744),
    ],
)
def test_totals_are_those_of_the_hours_asked_for_cut_from_a_longer_period(http, marts, hours, asked):
    answer = http.get(f"/api/totals?system=velib{hours}").json
    length = int(hours.removeprefix("&hours=") or 24)
    newest = NEWEST.replace(minute=0)
    expected = [f"{newest - timedelta(hours=ago):%Y-%m-%dT%H:%M:%SZ}" for ago in range(length)]
    assert answer["hours"] == [{"hour_ts": hour} for hour in reversed(expected)]
    assert marts.asked == [("health",), ("totals", VELIB, asked)]


@pytest.mark.parametrize(
    ("path", "station", "information", "values"),
    [
        ("1", "1", {"name": "Bastille"}, {"turnover_24h": 7.0}),
        ("a%20%C3%A9%2Fb", "a é/b", None, {}),
    ],
)
def test_a_station_has_its_own_history_and_its_part_of_what_is_known_of_all(
    http, marts, path, station, information, values
):
    answer = http.get(f"/api/station/velib/{path}")
    assert (answer.status_code, answer.json) == (
        200,
        {
            "station_id": station,
            "history": [],
            "information": information,
            "features": {"as_of": "2026-01-24T22:28:00Z", "values": values},
        },
    )
    assert marts.asked == [("health",), ("known", VELIB), ("features", VELIB), ("history", VELIB, station)]


def test_unknown_stations_and_systems_cost_no_query_each(http, marts):
    for number in range(500):
        assert http.get(f"/api/station/velib/nowhere-{number}").status_code == 404
        assert http.get(f"/api/stations?system=nowhere-{number}").status_code == 404
    assert marts.questions() == ["health", "known"]


def test_all_lengths_of_totals_cost_three_queries(http, marts):
    for hours in range(1, 745):
        assert http.get(f"/api/totals?system=velib&hours={hours}").status_code == 200
    assert marts.questions() == ["health", "totals", "totals", "totals"]


def test_who_asks_for_all_stations_is_refused_and_takes_nothing_from_the_others(http, marts):
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


@pytest.mark.parametrize(
    "path",
    [
        "/api/stations",
        "/api/stations?system=",
        "/api/stations?system=" + "x" * 101,
        "/api/stations?system=a%00b",
        "/api/stations?system=velib&limit=3",
        "/api/totals?system=velib&hours=0",
        "/api/totals?system=velib&hours=745",
        "/api/totals?system=velib&hours=1.5",
        "/api/totals?system=velib&hours=x",
        "/api/totals?hours=24",
        "/api/station/velib/" + "x" * 101,
        "/api/station/velib/1?hours=2",
        "/api/features",
    ],
)
def test_a_bad_parameter_is_answered_400_and_asks_nothing(http, marts, path):
    answer = http.get(path)
    assert (answer.status_code, answer.json["error"]["reason"]) == (400, "bad_request")
    assert marts.asked == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/api/stations?system=bixi", "unknown_system"),
        ("/api/totals?system=bixi", "unknown_system"),
        ("/api/station/bixi/1", "unknown_system"),
        ("/api/features?system=bixi", "unknown_system"),
        ("/api/station/velib/nowhere", "unknown_station"),
        ("/api", "not_found"),
        ("/static/../app.py", "not_found"),
        ("/static/nothing.js", "not_found"),
    ],
)
def test_what_is_not_there_is_answered_404(http, path, reason):
    answer = http.get(path)
    assert (answer.status_code, answer.json["error"]["reason"]) == (404, reason)


@pytest.mark.parametrize("path", ROUTES)
def test_without_bigquery_the_answer_is_503_and_when_to_come_again(http, marts, path):
    marts.fail_with = BigQueryUnavailable("BigQuery: health: ServiceUnavailable")
    answer = http.get(path)
    assert (answer.status_code, answer.headers["Retry-After"], answer.json) == (
        503,
        "5",
        {"error": {"reason": "unavailable", "message": "BigQuery: health: ServiceUnavailable"}},
    )


def test_after_a_failure_the_next_viewer_is_answered(http, marts):
    marts.fail_with = BigQueryUnavailable("BigQuery: health: ServiceUnavailable")
    http.get("/api/health")
    marts.fail_with = None
    assert http.get("/api/health").status_code == 200


@pytest.mark.parametrize("path", ROUTES)
def test_a_second_viewer_costs_no_query(http, marts, path):
    first = http.get(path)
    asked = list(marts.asked)
    assert (http.get(path).data, marts.asked) == (first.data, asked)


def test_answers_are_kept_apart_by_their_parameters(http, marts):
    for path in (
        "/api/totals?system=velib",
        "/api/totals?system=velib&hours=48",
        "/api/station/velib/1",
        "/api/station/velib/2",
    ):
        http.get(path)
    assert marts.questions() == ["health", "totals", "totals", "known", "features", "history", "history"]


def test_an_answer_is_compressed_where_the_viewer_takes_that(http):
    packed = http.get("/api/health", headers={"Accept-Encoding": "gzip, br"})
    plain = http.get("/api/health", headers={"Accept-Encoding": "identity"})
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data) == plain.data
    assert plain.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/", "/static/main.js", "/api/stations?system=velib", "/api/stations", "/nowhere", "/health"]
)
def test_every_answer_lets_the_browser_load_and_run_only_our_own_files(http, path):
    headers = http.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
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
def test_files_have_the_type_that_browsers_demand_and_are_asked_for_again_by_tag(http, path, kind):
    answer = http.get(path)
    assert (answer.status_code, answer.mimetype) == (200, kind)
    assert answer.headers["Cache-Control"] == "no-cache"
    assert http.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_a_name_with_markup_stays_a_text_of_json(http):
    answer = http.get("/api/stations?system=velib")
    assert answer.mimetype == "application/json"
    assert json.loads(answer.data)["stations"][0]["name"] == "<b>Bastille</b>"


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_nothing_can_be_written(http, method):
    for path in ["/", *ROUTES]:
        assert getattr(http, method)(path).status_code == 405


def test_readiness_is_that_of_the_warehouse(marts):
    def refuse():
        raise BigQueryUnavailable("BigQuery: latest_state_enriched: NotFound")

    http = create_app(marts, project="p", check_ready=refuse, fresh_s=20.0).test_client()
    assert (http.get("/readyz").status_code, http.get("/health").status_code) == (503, 200)
