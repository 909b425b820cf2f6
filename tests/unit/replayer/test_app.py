import json
from datetime import UTC, datetime, timedelta

import pytest

from pmp_replayer.app import create_app
from pmp_replayer.counts import Counts
from pmp_replayer.reconciliation import Findings
from pmp_schema.errors import PublishFailed, RetryableError

NOW = datetime(2026, 1, 24, 22, 30, tzinfo=UTC)
LINES = {"Accept": "application/x-ndjson"}
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


class Service:
    """The application on fakes.

    Attributes:
        steps: counts that a replay yields; an exception among them is raised.
        fail_with: raised by the table and the reconciliation.
        asked: what the table and the reconciliation were asked, in order.
        flushes: for each flush of the counts, whether the replay was over.
    """

    def __init__(self, *steps, fail_with=None, tick_s=1.0):
        self.steps, self.fail_with = steps or (0, 1), fail_with
        self.requests, self.asked, self.flushes = [], [], []
        self.is_closed, self._now_s, self._tick_s = False, 0.0, tick_s
        app = create_app(
            self.replay,
            self,
            self,
            flush_counts=lambda: self.flushes.append(self.is_closed),
            project="p",
            check_ready=lambda: None,
            now=lambda: NOW,
            monotonic=self.monotonic,
        )
        self.http = app.test_client()

    def monotonic(self):
        self._now_s += self._tick_s
        return self._now_s

    def replay(self, request):
        self.requests.append(request)
        counts = Counts("r-1")
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                counts.examined = counts.matched = counts.replayed = step
                yield counts
        finally:
            self.is_closed = True

    def list(self, **query):
        self._ask("list", query)
        return [{"dead_letter_id": "dl-1"}]

    def look(self, since, now, *, ids):
        return self._find("look", since, now, ids)

    def check(self, since, now, *, ids):
        return self._find("check", since, now, ids)

    def _find(self, what, since, now, ids):
        self._ask(what, since, now, ids)
        return Findings(since=since, until=now, verdicts=[], repeats=[] if ids else None)

    def _ask(self, *asked):
        self.asked.append(asked)
        if self.fail_with is not None:
            raise self.fail_with


def lines(answer):
    return [json.loads(line) for line in answer.data.splitlines()]


def test_a_replay_answers_with_its_report_and_counts_what_it_published():
    service = Service()
    wanted = {"reason": "schema", "from": "table", "published_after": "2026-01-01T00:00:00"}
    answer = service.http.post("/replay", json=wanted)
    assert (answer.status_code, answer.json) == (200, REPORT)
    [request] = service.requests
    assert (request.reason, request.source, request.limit) == ("schema", "table", 1000)
    assert (request.rate_per_s, request.published_after) == (100.0, datetime(2026, 1, 1, tzinfo=UTC))
    assert service.flushes == [True]


def test_a_client_that_accepts_lines_gets_progress_and_then_the_report():
    answer = Service(0, 1, 1).http.post("/replay", json={}, headers=LINES)
    *progress, report = lines(answer)
    assert answer.mimetype == "application/x-ndjson"
    assert [line["examined"] for line in progress] == [0, 1, 1]
    assert not any("replay_id" in line for line in progress)
    assert report == REPORT


def test_lines_come_at_most_once_a_second():
    answer = Service(*range(10), tick_s=0.25).http.post("/replay", json={}, headers=LINES)
    assert [line["examined"] for line in lines(answer)] == [0, 4, 8, 9]


def test_a_client_that_disconnects_ends_the_replay():
    service = Service(*range(100))
    answer = service.http.post("/replay", json={}, headers=LINES, buffered=False)
    next(answer.response)
    assert not service.is_closed
    answer.close()
    assert service.is_closed


@pytest.mark.parametrize("headers", [{}, LINES])
def test_a_replay_that_cannot_start_is_a_503(headers):
    answer = Service(PublishFailed("down")).http.post("/replay", json={}, headers=headers)
    assert (answer.status_code, answer.json["error"]) == (503, {"reason": "unavailable", "message": "down"})
    assert answer.headers["Retry-After"] == "5"


def test_a_replay_that_cannot_go_on_reports_how_far_it_came():
    answer = Service(0, 7, PublishFailed("down")).http.post("/replay", json={})
    assert answer.status_code == 503
    assert answer.json["error"]["message"] == "down; replay r-1 had replayed 7 letters"
    last = lines(Service(0, 7, PublishFailed("down")).http.post("/replay", json={}, headers=LINES))[-1]
    assert (last["error"], last["replayed"]) == ({"reason": "unavailable", "message": "down"}, 7)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", {"limit": 50, "reason": None, "source_topic": None, "since": None}),
        (
            "limit=7&reason=schema&source_topic=pmp-events&since=2026-01-01",
            {
                "limit": 7,
                "reason": "schema",
                "source_topic": "pmp-events",
                "since": datetime(2026, 1, 1, tzinfo=UTC),
            },
        ),
        (
            "since=1.5d",
            {"limit": 50, "reason": None, "source_topic": None, "since": NOW - timedelta(hours=36)},
        ),
    ],
)
def test_dead_letters_are_listed_with_the_filters_of_the_query(query, asked):
    service = Service()
    answer = service.http.get(f"/dead-letters?{query}")
    assert (answer.status_code, answer.json) == (200, {"dead_letters": [{"dead_letter_id": "dl-1"}]})
    assert service.asked == [("list", asked)]


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_the_schedules_empty_body_checks_the_last_day(body):
    service = Service()
    answer = service.http.post("/reconcile", data=body)
    found = {"since": "2026-01-23T22:30:00Z", "missing": 0, "hours": []}
    assert (answer.status_code, answer.json) == (200, found)
    assert service.asked == [("check", NOW - timedelta(hours=24), NOW, False)]


def test_a_look_is_a_get_with_the_same_options():
    service = Service()
    answer = service.http.get("/reconcile?since=2026-01-24T10:00:00Z&ids=true")
    assert (answer.status_code, answer.json["repeats"]) == (200, [])
    for since in ("90m", "1.5h", "2026-01-24T22:00:00+01:00"):
        service.http.post("/reconcile", json={"since": since, "ids": True})
    ninety = NOW - timedelta(minutes=90)
    assert service.asked == [
        ("look", datetime(2026, 1, 24, 10, tzinfo=UTC), NOW, True),
        *[("check", ninety, NOW, True)] * 3,
    ]


NOT_JSON = [b"[]", b"{", b"\xff"]
REPLAYS = [
    *(b"", b'{"form": "hold"}', b'{"source": "hold"}', b'{"from": "elsewhere"}', b'{"limit": 0}'),
    *(b'{"limit": 100001}', b'{"limit": "10"}', b'{"rate_per_s": 0}', b'{"stop_share": 2}'),
    *(b'{"max_replays": 0}', b'{"dry_run": 1}', b'{"published_after": "yesterday"}'),
    b'{"fixes": [{"op": "set", "path": "delta", "value": 1}]}',
    b'{"fixes": [{"op": "explode", "path": "$.delta"}]}',
]
CHECKS = [
    *(b'{"since": %s}' % since for since in (b"24", b'"yesterday"', b'"0h"', b'"2h30"', b'"999999d"')),
    *(b'{"since": "2026-01-24T22:30:00Z"}', b'{"since": "24h", "until": "1h"}', b'{"ids": "true"}'),
    b'{"since": ' + b"[" * 100_000,
]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(("POST", "/replay", body) for body in NOT_JSON + REPLAYS),
        *(("POST", "/reconcile", body) for body in NOT_JSON + CHECKS),
        *(("GET", f"/reconcile?{query}", b"") for query in ("since=yesterday", "ids=perhaps", "from=1h")),
        *(("GET", f"/dead-letters?limit={limit}", b"") for limit in ("0", "1001", "many")),
        *(("GET", f"/dead-letters?{query}", b"") for query in ("since=yesterday", "reasons=schema")),
    ],
)
def test_an_invalid_request_is_a_400_and_starts_nothing(method, path, body):
    service = Service()
    answer = service.http.open(path, method=method, data=body)
    assert (answer.status_code, answer.json["error"]["reason"]) == (400, "bad_request")
    assert (service.requests, service.asked) == ([], [])


@pytest.mark.parametrize("since", ["yesterday", "2027-01-01"])
def test_the_error_says_how_a_start_is_written(since):
    answer = Service().http.get(f"/reconcile?since={since}")
    assert answer.json["error"]["message"].startswith(f"since {since}: must be ")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/dead-letters"), ("GET", "/reconcile"), ("POST", "/reconcile")]
)
def test_without_bigquery_the_answer_is_503(method, path):
    answer = Service(fail_with=RetryableError("down")).http.open(path, method=method)
    assert (answer.status_code, answer.json["error"]) == (503, {"reason": "unavailable", "message": "down"})
    assert answer.headers["Retry-After"] == "5"
