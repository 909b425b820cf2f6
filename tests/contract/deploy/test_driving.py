import json

import pytest

from pmpctl.errors import CommandError
from tests.fakes.json_server import json_server


def result(outcome="published", feed="station_status", **more):
    plain = {"system": "velib", "feed": feed, "outcome": outcome, "stations": 1500, "bytes": 812_345}
    return {**plain, "message_id": "m-1", "feed_ts": "2026-01-24T12:00:00Z", "detail": "", **more}


WHERE = "; `terraform output environment` prints them (docs/3-deploy.md, step 6)"


@pytest.fixture
def service(monkeypatch):
    with json_server() as fake:
        for name in ("COLLECTOR_URL", "LAUNCHER_URL", "REPLAYER_URL"):
            monkeypatch.setenv(name, f"{fake.url}/")
        yield fake


def test_dry_run_of_collect_prints_the_requests_and_sends_none(pmpctl, service):
    assert pmpctl("collect", "--system", "a b", "--dry-run") == (
        0,
        "".join(
            f"POST {service.url}/collect/{feed}?system=a+b\n"
            for feed in ("station_status", "station_information")
        ),
        "",
    )
    assert (service.seen, pmpctl.tokens) == ([], [])


def test_collect_says_who_it_is_and_gives_what_became_of_every_system(pmpctl, service):
    service.answers["POST /collect/station_status"] = [(200, {"results": [result()]})]
    code, out, err = pmpctl("collect", "--feed", "station_status", "--system", "velib", "--json")
    assert (code, json.loads(out), err) == (0, {"results": [result()]}, "")
    (seen,) = service.seen
    assert (seen.method, seen.path) == ("POST", "/collect/station_status?system=velib")
    assert seen.headers["Authorization"] == f"Bearer token-for-{service.url}"
    assert pmpctl.tokens == [service.url]


def test_collect_shows_every_outcome_and_exits_1_if_a_poll_failed(pmpctl, service):
    failed = result("failed", stations=None, bytes=None, message_id=None, detail="[timeout] of the feed")
    service.answers["POST /collect/station_status"] = [(502, {"results": [failed]})]
    code, out, _ = pmpctl("collect", "--feed", "station_status")
    (line,) = [line for line in out.splitlines() if "velib" in line]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert code == 1
    assert cells == [
        "velib", "station_status", "failed", "-", "-", "2026-01-24T12:00:00Z", "[timeout] of the feed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, {"error": {"message": "'x' is not in the feeds file"}}, "404: 'x' is not in the feeds file"),
        (
            403,
            "<html>\n<title>403 Forbidden</title>\n</html>",
            "403: <html> <title>403 Forbidden</title> </html>",
        ),
        (502, "bad gateway", "502"),
    ],
)
def test_what_the_collector_refuses_is_one_line(pmpctl, service, status, body, said):
    service.answers["POST /collect/station_status"] = [(status, body)]
    assert pmpctl("collect", "--feed", "station_status")[2] == f"pmpctl: collector answered {said}\n"


def test_one_token_serves_a_whole_command(pmpctl, service):
    service.answers["POST /collect/station_status"] = [(200, {"results": [result()]})]
    service.answers["POST /collect/station_information"] = [(200, {"results": []})]
    assert pmpctl("collect")[0] == 0
    assert pmpctl.tokens == [service.url]


def test_a_token_that_is_over_is_asked_for_again(pmpctl, service):
    service.answers["GET /runs/f-1"] = [(401, "expired"), (200, RUN)]
    pmpctl.new_token = iter(["old", "new"]).__next__
    assert pmpctl("features", "status", "f-1")[0] == 0
    assert [seen.headers["Authorization"] for seen in service.seen] == ["Bearer old", "Bearer new"]


def test_a_token_that_stays_refused_is_said_with_what_to_do(pmpctl, service):
    service.answers["GET /runs/f-1"] = [(401, "expired")]
    assert pmpctl("features", "status", "f-1")[2] == (
        "pmpctl: launcher answered 401: expired; a token is good for an hour: "
        "export IDENTITY_TOKEN=$(gcloud auth print-identity-token)\n"
    )
    assert len(service.seen) == 1


def test_simulate_sends_what_was_given(pmpctl, service):
    body = '{"events":5,"rate_per_s":2.0,"city_id":"paris"}'
    arguments = ("simulate", "--events", "5", "--rate", "2", "--city", "paris")
    assert pmpctl(*arguments, "--dry-run") == (0, f"POST {service.url}/simulate {body}\n", "")
    service.answers["POST /simulate"] = [(200, {"run": "r-1", "published": 5})]
    assert pmpctl(*arguments) == (0, "run: r-1\npublished: 5\n", "")
    assert json.loads(pmpctl(*arguments, "--json")[1]) == {"run": "r-1", "published": 5}
    assert json.loads(service.seen[0].body) == json.loads(body)


RUN = {"run_id": "f-1", "as_of": "2026-01-24T12:00:00Z", "engine": "sql", "status": "started"}


def test_a_feature_run_is_asked_for_and_waited_for(pmpctl, service):
    service.answers["POST /runs"] = [(202, RUN)]
    service.answers["GET /runs/f-1"] = [(200, RUN), (200, {**RUN, "status": "succeeded"})]
    arguments = ("features", "run", "--as-of", "2026-01-24T12:00:00Z", "--engine", "sql")
    assert pmpctl(*arguments, "--dry-run")[1] == (
        f'POST {service.url}/runs {{"as_of":"2026-01-24T12:00:00Z","engine":"sql"}}\n'
    )
    assert json.loads(pmpctl(*arguments, "--json")[1]) == RUN
    assert json.loads(pmpctl(*arguments, "--wait", "--json")[1]) == {**RUN, "status": "succeeded"}
    assert [seen.path for seen in service.seen] == ["/runs", "/runs", "/runs/f-1", "/runs/f-1"]


def test_a_feature_run_that_failed_exits_1(pmpctl, service):
    service.answers["POST /runs"] = [(200, {**RUN, "status": "failed", "error": "no rows"})]
    code, out, _ = pmpctl("features", "run")
    assert (code, out.splitlines()[-2:]) == (1, ["status: failed", "error: no rows"])


def test_a_run_on_dataflow_is_asked_for_because_it_costs(pmpctl, service):
    code, _, err = pmpctl("features", "run", "--engine", "beam")
    assert (code, service.seen) == (1, [])
    assert err == "pmpctl: This starts a Dataflow batch job, which costs some cents. Say so with --yes.\n"


@pytest.mark.parametrize(("engine", "asked"), [("beam", True), ("sql", False)])
def test_the_deployed_engine_decides_whether_a_run_is_asked_for(pmpctl, service, cloud, engine, asked):
    cloud.add_schedule("pmp-features-every-25-minutes", body=f'{{"engine": "{engine}"}}'.encode())
    service.answers["POST /runs"] = [(202, RUN)]
    assert ("Say so with --yes" in pmpctl("features", "run")[2]) is asked
    assert bool(service.seen) is not asked


def test_a_wait_outlives_a_launcher_that_is_replaced(pmpctl, service):
    service.answers["POST /runs"] = [(202, RUN)]
    service.answers["GET /runs/f-1"] = [
        (503, {"error": {"message": "shutting down"}}),
        (200, {**RUN, "status": "succeeded"}),
    ]
    assert pmpctl("features", "run", "--engine", "sql", "--wait")[0] == 0


def test_missing_credentials_are_said_at_once(pmpctl, service, cloud, monkeypatch):
    def refuse():
        raise CommandError("no Google credentials")

    pauses = []
    monkeypatch.setattr(cloud, "advance", pauses.append)
    pmpctl.new_token = refuse
    assert pmpctl("features", "status", "f-1")[2] == "pmpctl: no Google credentials\n"
    assert (service.seen, pauses) == ([], [])


def test_a_launcher_that_is_away_is_asked_for_half_a_minute(pmpctl, cloud, monkeypatch):
    monkeypatch.setenv("LAUNCHER_URL", "http://127.0.0.1:1")
    pauses = []
    monkeypatch.setattr(cloud, "advance", pauses.append)
    assert pmpctl("features", "status", "f-1")[2].endswith(": ConnectError\n")
    assert [s for s in pauses if s >= 1] == [1, 2, 4, 8, 16]


def test_a_page_of_somebody_else_is_no_answer(pmpctl, service):
    service.answers["GET /runs/f-1"] = [(200, "<html>Sign in</html>")]
    assert pmpctl("features", "status", "f-1")[2] == (
        f"pmpctl: launcher did not answer with a JSON object: is {service.url}/runs/f-1 its address?\n"
    )


def test_a_request_that_was_sent_is_not_sent_again(pmpctl, service, monkeypatch):
    monkeypatch.setattr("pmpctl.collector.COLLECT_TIMEOUT_S", 0.2)
    service.delay_s = 1.0
    service.answers["POST /collect/station_status"] = [(200, {"results": []})]
    assert pmpctl("collect", "--feed", "station_status")[2].endswith(": ReadTimeout\n")
    assert len(service.seen) == 1


def test_the_status_of_a_run_is_the_launchers(pmpctl, service):
    service.answers["GET /runs/f-1"] = [(200, RUN)]
    assert json.loads(pmpctl("features", "status", "f-1", "--json")[1]) == RUN
    assert pmpctl("features", "status", "f-2")[2] == "pmpctl: launcher answered 404: /runs/f-2\n"


def test_an_address_must_be_known(pmpctl, monkeypatch):
    monkeypatch.delenv("COLLECTOR_URL", raising=False)
    assert pmpctl("collect") == (1, "", f"pmpctl: unset: COLLECTOR_URL{WHERE}\n")
