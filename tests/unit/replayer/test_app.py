import json
from datetime import UTC, datetime, timedelta

import pytest

from pmp_replayer.app import create_app
from pmp_replayer.counts import Counts
from pmp_replayer.reconciliation import Findings
from pmp_schema.errors import PublishFailed, RetryableError


class RecordingReplays:
    """Yields counts as told; an exception among them is raised."""

    def __init__(self, steps):
        self.steps, self.requests, self.closed = steps, [], False

    def __call__(self, request):
        self.requests.append(request)
        counts = Counts("r-1")
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                counts.examined = counts.matched = counts.replayed = step
                yield counts
        finally:
            self.closed = True


class RecordingTable:
    def __init__(self, rows=(), fail_with=None):
        self.rows, self.fail_with, self.asked = list(rows), fail_with, []

    def list(self, **asked):
        self.asked.append(asked)
        if self.fail_with is not None:
            raise self.fail_with
        return self.rows


NOW = datetime(2026, 1, 24, 22, 30, tzinfo=UTC)


class RecordingReconciliation:
    def __init__(self, fail_with=None):
        self.fail_with, self.asked = fail_with, []

    def look(self, since, now, *, ids):
        return self._find("look", since, now, ids)

    def check(self, since, now, *, ids):
        return self._find("check", since, now, ids)

    def _find(self, what, since, now, ids):
        self.asked.append((what, since, now, ids))
        if self.fail_with is not None:
            raise self.fail_with
        return Findings(since=since, until=now, verdicts=[], repeats=[] if ids else None)


def client(steps=(0, 1), table=None, announced=None, reconciliation=None):
    replays = RecordingReplays(steps)
    seconds = iter(range(1000))
    app = create_app(
        replays,
        table or RecordingTable(),
        reconciliation or RecordingReconciliation(),
        lambda: announced.append(replays.closed) if announced is not None else None,
        project="p",
        check_ready=lambda: None,
        now=lambda: NOW,
        monotonic=lambda: next(seconds),
    )
    return app.test_client(), replays


REPORT = {
    "replay_id": "r-1",
    "examined": 1,
    "matched": 1,
    "replayed": 1,
    "kept": 0,
    "refused": 0,
    "came_back": 0,
    "by_reason": {},
    "refused_by": {},
}


def test_a_replay_answers_with_its_report_and_announces_what_it_published():
    announced = []
    http, replays = client(announced=announced)
    answer = http.post(
        "/replay", json={"reason": "schema", "from": "table", "published_after": "2026-01-01T00:00:00"}
    )
    assert (answer.status_code, answer.json) == (200, REPORT)
    [request] = replays.requests
    assert (request.reason, request.source, request.limit, request.rate_per_s) == (
        "schema",
        "table",
        1000,
        100.0,
    )
    assert request.published_after.isoformat() == "2026-01-01T00:00:00+00:00"
    assert announced == [True]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"form": "hold"}',
        b'{"source": "hold"}',
        b'{"from": "elsewhere"}',
        b'{"limit": 0}',
        b'{"limit": 100001}',
        b'{"limit": "10"}',
        b'{"rate_per_s": 0}',
        b'{"stop_share": 2}',
        b'{"max_replays": 0}',
        b'{"dry_run": 1}',
        b'{"published_after": "yesterday"}',
        b'{"fixes": [{"op": "set", "path": "delta", "value": 1}]}',
        b'{"fixes": [{"op": "explode", "path": "$.delta"}]}',
    ],
)
def test_a_request_that_is_none_starts_nothing(body):
    http, replays = client()
    answer = http.post("/replay", data=body)
    assert (answer.status_code, answer.json["error"]["reason"], replays.requests) == (400, "bad_request", [])


def test_a_client_that_wants_lines_sees_progress_and_then_the_report():
    http, _ = client(steps=(0, 1, 1))
    answer = http.post("/replay", json={}, headers={"Accept": "application/x-ndjson"})
    *progress, report = [json.loads(line) for line in answer.data.splitlines()]
    assert answer.mimetype == "application/x-ndjson"
    assert [line["examined"] for line in progress] == [0, 1, 1]
    assert not any("replay_id" in line for line in progress)
    assert report == REPORT


def test_lines_come_once_a_second_at_most():
    replays = RecordingReplays(range(10))
    ticks = iter(n / 4 for n in range(100))
    app = create_app(
        replays,
        RecordingTable(),
        RecordingReconciliation(),
        lambda: None,
        project="p",
        check_ready=lambda: None,
        monotonic=lambda: next(ticks),
    )
    answer = app.test_client().post("/replay", json={}, headers={"Accept": "application/x-ndjson"})
    examined = [json.loads(line)["examined"] for line in answer.data.splitlines()]
    assert examined == [0, 4, 8, 9]


def test_a_client_that_goes_away_ends_the_run():
    http, replays = client(steps=range(100))
    answer = http.post("/replay", json={}, headers={"Accept": "application/x-ndjson"}, buffered=False)
    next(answer.response)
    assert not replays.closed
    answer.close()
    assert replays.closed


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_a_run_that_cannot_begin_is_a_503(accept):
    announced = []
    http, _ = client(steps=[PublishFailed("down")], announced=announced)
    answer = http.post("/replay", json={}, headers={"Accept": accept})
    assert (answer.status_code, answer.json["error"]) == (503, {"reason": "unavailable", "message": "down"})
    assert answer.headers["Retry-After"] == "5"


def test_a_run_that_cannot_go_on_is_a_503_that_says_how_far_it_came():
    http, _ = client(steps=[0, 7, PublishFailed("down")])
    answer = http.post("/replay", json={})
    assert answer.status_code == 503
    assert answer.json["error"]["message"] == "down; replay r-1 had replayed 7 letters"


def test_a_run_that_cannot_go_on_ends_its_lines_with_the_error():
    http, _ = client(steps=[0, 7, PublishFailed("down")])
    answer = http.post("/replay", json={}, headers={"Accept": "application/x-ndjson"})
    last = json.loads(answer.data.splitlines()[-1])
    assert (last["error"], last["replayed"]) == ({"reason": "unavailable", "message": "down"}, 7)


def test_dead_letters_are_listed_with_the_filters_of_the_query():
    table = RecordingTable([{"dead_letter_id": "dl-1"}])
    http, _ = client(table=table)
    answer = http.get("/dead-letters?limit=7&reason=schema&source_topic=pmp-events&since=2026-01-01")
    assert (answer.status_code, answer.json) == (200, {"dead_letters": [{"dead_letter_id": "dl-1"}]})
    [asked] = table.asked
    assert asked.pop("since").isoformat() == "2026-01-01T00:00:00+00:00"
    assert asked == {"limit": 7, "reason": "schema", "source_topic": "pmp-events"}


def test_the_letters_of_an_age_are_listed():
    table = RecordingTable()
    http, _ = client(table=table)
    assert http.get("/dead-letters?since=1.5d").status_code == 200
    assert table.asked[0]["since"] == NOW - timedelta(hours=36)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=many", "since=yesterday", "reasons=schema"]
)
def test_a_query_that_is_none_is_a_400(query):
    table = RecordingTable()
    http, _ = client(table=table)
    assert (http.get(f"/dead-letters?{query}").status_code, table.asked) == (400, [])


def test_a_table_that_does_not_answer_is_a_503():
    http, _ = client(table=RecordingTable(fail_with=RetryableError("down")))
    assert http.get("/dead-letters").status_code == 503


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_the_schedules_empty_body_checks_the_last_day(body):
    reconciliation = RecordingReconciliation()
    http, _ = client(reconciliation=reconciliation)
    answer = http.post("/reconcile", data=body)
    assert (answer.status_code, answer.json) == (
        200,
        {"since": "2026-01-23T22:30:00Z", "missing": 0, "hours": []},
    )
    assert reconciliation.asked == [("check", NOW - timedelta(hours=24), NOW, False)]


def test_a_look_is_a_get_with_the_same_options():
    reconciliation = RecordingReconciliation()
    http, _ = client(reconciliation=reconciliation)
    answer = http.get("/reconcile?since=2026-01-24T10:00:00Z&ids=true")
    assert (answer.status_code, answer.json["repeats"]) == (200, [])
    http.post("/reconcile", json={"since": "90m", "ids": True})
    assert reconciliation.asked == [
        ("look", datetime(2026, 1, 24, 10, tzinfo=UTC), NOW, True),
        ("check", NOW - timedelta(minutes=90), NOW, True),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b"\xff",
        b'{"since": 24}',
        b'{"since": "yesterday"}',
        b'{"since": "0h"}',
        b'{"since": "2026-01-24T22:30:00Z"}',
        b'{"since": "24h", "until": "1h"}',
        b'{"ids": "true"}',
        b'{"since": ' + b"[" * 100_000,
    ],
)
def test_a_check_that_is_none_asks_nothing(body):
    reconciliation = RecordingReconciliation()
    http, _ = client(reconciliation=reconciliation)
    answer = http.post("/reconcile", data=body)
    assert (answer.status_code, answer.json["error"]["reason"]) == (400, "bad_request")
    assert reconciliation.asked == []


@pytest.mark.parametrize("query", ["since=yesterday", "ids=perhaps", "from=1h"])
def test_a_look_that_is_none_is_a_400(query):
    reconciliation = RecordingReconciliation()
    http, _ = client(reconciliation=reconciliation)
    assert (http.get(f"/reconcile?{query}").status_code, reconciliation.asked) == (400, [])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_reconciliation_without_bigquery_is_a_503(method):
    http, _ = client(reconciliation=RecordingReconciliation(fail_with=RetryableError("down")))
    answer = http.open("/reconcile", method=method)
    assert (answer.status_code, answer.json["error"]) == (503, {"reason": "unavailable", "message": "down"})
    assert answer.headers["Retry-After"] == "5"
