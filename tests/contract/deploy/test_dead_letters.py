import json
import re

import pytest

from tests.fakes.json_server import json_server

LETTER = {
    "dead_lettered_ts": "2026-01-24T12:00:00Z",
    "reason": "unknown_kind",
    "source_topic": "pmp-sensor-events",
    "replay_count": None,
    "replayed_ts": None,
    "data_bytes": 97,
    "detail": "kind is [x]",
}
REPORT = {"replay_id": "r-1", "examined": 3, "matched": 2, "replayed": 2, "by_reason": {"unknown_kind": 2}}


@pytest.fixture
def replayer(monkeypatch):
    with json_server() as fake:
        monkeypatch.setenv("REPLAYER_URL", fake.url)
        yield fake


def lines(*told):
    return [(200, "".join(json.dumps(line) + "\n" for line in told))]


def test_dead_letters_are_shown_as_they_are(pmpctl, replayer):
    replayer.answers["GET /dead-letters"] = [(200, {"dead_letters": [LETTER]})]
    code, out, _ = pmpctl("dead-letters", "--reason", "unknown_kind", "--limit", "5")
    assert code == 0
    assert "kind is [x]" in out
    assert "pmp-sensor-events" in out
    assert replayer.seen[0].path == "/dead-letters?reason=unknown_kind&limit=5"


def test_a_letter_that_was_replayed_says_when(pmpctl, replayer):
    replayed = {**LETTER, "replayed_ts": "2026-01-24T13:00:00.5Z"}
    replayer.answers["GET /dead-letters"] = [(200, {"dead_letters": [LETTER, replayed]})]
    first, second = [line for line in pmpctl("dead-letters")[1].splitlines() if "unknown_kind" in line]
    assert re.split(r"  +", first.strip())[-1] == "kind is [x]"
    assert re.split(r"  +", second.strip())[-1] == "replayed 2026-01-24 13:00:00; kind is [x]"


def test_a_replay_asks_for_what_was_given_and_shows_the_last_line(pmpctl, replayer, tmp_path):
    fixes = tmp_path / "fixes.json"
    fixes.write_text('[{"op": "set", "path": "$.kind", "value": "pickup"}]')
    replayer.answers["POST /replay"] = lines({"replayed": 1}, REPORT)
    arguments = ("replay", "--reason", "unknown_kind", "--from", "table", "--fixes", str(fixes))
    code, out, _ = pmpctl(*arguments, "--json")
    assert (code, json.loads(out)) == (0, REPORT)
    asked = json.loads(replayer.seen[0].body)
    assert (asked["reason"], asked["from"], asked["dry_run"]) == ("unknown_kind", "table", False)
    assert asked["fixes"] == [{"op": "set", "path": "$.kind", "value": "pickup"}]
    code, out, _ = pmpctl(*arguments)
    assert code == 0
    assert "by reason: unknown_kind" in out


def test_a_replay_that_stopped_early_exits_1(pmpctl, replayer):
    replayer.answers["POST /replay"] = lines({**REPORT, "stopped": "too many came back"})
    code, out, _ = pmpctl("replay")
    assert code == 1
    assert "too many came back" in out


def test_an_empty_hold_says_where_older_letters_are(pmpctl, replayer):
    replayer.answers["POST /replay"] = lines({**REPORT, "examined": 0})
    assert "`--from table` replays older dead letters" in pmpctl("replay")[2]
    assert "--from table" not in pmpctl("replay", "--dry-run")[2]
    assert "--from table" not in pmpctl("replay", "--from", "table")[2]


def test_a_replay_that_ended_with_an_error_is_one_line(pmpctl, replayer):
    replayer.answers["POST /replay"] = lines({"replayed": 1}, {"error": {"message": "Pub/Sub is away"}})
    assert pmpctl("replay")[2].splitlines()[-1] == "pmpctl: the replay ended early: Pub/Sub is away"


def test_fixes_that_are_no_json_are_refused_before_anything_is_asked(pmpctl, replayer, tmp_path):
    fixes = tmp_path / "fixes.json"
    fixes.write_text("{")
    code, _, err = pmpctl("replay", "--fixes", str(fixes))
    assert code == 1
    assert err.startswith(f"pmpctl: {fixes}: not JSON: ")
    assert replayer.seen == []


@pytest.mark.parametrize(
    ("arguments", "request_line"),
    [
        (("replay",), "POST /replay"),
        (("reconcile", "--since", "0h"), "GET /reconcile?since=0h&ids=false"),
        (("dead-letters", "--since", "0h"), "GET /dead-letters?since=0h&limit=50"),
    ],
)
def test_a_refusal_is_one_line(pmpctl, replayer, arguments, request_line):
    replayer.answers[request_line.partition("?")[0]] = [(400, {"error": {"message": "since 0h: too late"}})]
    code, _, err = pmpctl(*arguments)
    assert (code, err.splitlines()[-1]) == (1, "pmpctl: replayer answered 400: since 0h: too late")
    (seen,) = replayer.seen
    assert f"{seen.method} {seen.path}" == request_line
    assert seen.headers["Authorization"] == f"Bearer token-for-{replayer.url}"


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("dead-letters", "replayer"),
        ("reconcile", "replayer"),
        ("replay", "replayer"),
        ("collect", "collector"),
    ],
)
def test_a_service_that_is_not_there_is_one_line(pmpctl, monkeypatch, command, service):
    monkeypatch.setenv(f"{service.upper()}_URL", "http://127.0.0.1:1")
    said = pmpctl(command)[2].splitlines()[-1]
    assert said == f"pmpctl: no answer from {service} at http://127.0.0.1:1: ConnectError"
