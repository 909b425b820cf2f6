import json
from datetime import UTC, datetime

import pytest

from pmp_launcher.app import create_app
from pmp_launcher.feature_run import Launch
from pmp_launcher.feature_runs import Runs
from pmp_schema.errors import PublishFailed, RetryableError
from pmp_schema.features.runs import Engine, Status
from tests.fakes.recording import RecordingPublisher

NOW = datetime(2026, 1, 24, 16, 3, 42, tzinfo=UTC)
WAIT_S = 5


class Executor:
    """Starts every run once; `ends` are its states as they are asked for."""

    def __init__(self, make, ends=(), fail_with=None, first=None, follows=None):
        self.make, self.ends, self.fail_with, self.first = make, list(ends), fail_with, first
        self.follows, self.runs, self.asked = follows, {}, []

    def start(self, wanted):
        if self.fail_with:
            raise self.fail_with
        is_new = wanted.run_id not in self.runs
        first = self.first or self.make()
        run = self.runs.setdefault(wanted.run_id, self.make(**fields(first) | {"wanted": wanted}))
        return Launch(run=run, is_new=is_new, follows=self.follows if is_new else None)

    def find(self, run_id):
        self.asked.append(run_id)
        if self.fail_with:
            raise self.fail_with
        if self.ends and run_id in self.runs:
            self.runs[run_id] = self.make(**fields(self.ends.pop(0)) | {"wanted": self.runs[run_id].wanted})
        return self.runs.get(run_id)


def fields(run):
    return {name: getattr(run, name) for name in type(run).__dataclass_fields__}


class Service:
    def __init__(self, executor, unfinished=(), publisher=None):
        self.publisher = publisher or RecordingPublisher()
        self.slept = []
        runs = Runs(
            {Engine.SQL: executor},
            self.publisher,
            lambda: unfinished,
            wait_s=WAIT_S,
            sleep=self.slept.append,
            monotonic=lambda: sum(self.slept),
        )
        self.client = create_app(
            runs,
            lacking={Engine.BEAM: "a pipeline"},
            default_engine=Engine.SQL,
            project="p",
            check_ready=self.ready,
            now=lambda: NOW,
        ).test_client()
        self.ready_error = None

    def ready(self):
        if self.ready_error:
            raise self.ready_error

    def post(self, **body):
        return self.client.post("/runs", json=body)

    @property
    def told(self):
        """(type, id) of every event."""
        events = [json.loads(message.data) for _, message in self.publisher.published]
        return [(event["type"].removeprefix("feature_run."), event["id"]) for event in events]


RUN = "features-sql-20251116t021500z"
AS_OF = "2025-11-16T02:15:00Z"


def test_a_new_run_is_202_and_the_same_again_is_200(a_run):
    service = Service(Executor(a_run))
    first, again = service.post(as_of=AS_OF), service.post(as_of=AS_OF, known_at="2025-12-01")
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json == again.json
    assert {k: first.json[k] for k in ("run_id", "as_of", "engine", "status")} == {
        "run_id": RUN,
        "as_of": AS_OF,
        "engine": "sql",
        "status": "started",
    }


def test_an_empty_body_is_a_run_and_the_schedule_s_time_its_as_of(a_run):
    service = Service(Executor(a_run))
    assert service.client.post("/runs").json["as_of"] == "2026-01-24T16:03:00Z"
    headers = {"X-CloudScheduler-ScheduleTime": "2026-01-24T16:00:00Z"}
    answers = [service.client.post("/runs", headers=headers) for _ in range(2)]
    assert [(a.status_code, a.json["as_of"]) for a in answers] == [
        (202, "2026-01-24T16:00:00Z"),
        (200, "2026-01-24T16:00:00Z"),
    ]


def test_runs_of_other_times_run_side_by_side(a_run):
    service = Service(Executor(a_run))
    answers = [service.post(as_of=f"2025-11-16T02:{minute}:00Z") for minute in (15, 40)]
    assert [answer.status_code for answer in answers] == [202, 202]


@pytest.mark.parametrize("body", [b"{", b'{"engine":"beam"}', b'{"as_of":"x"}', b"\xff\xfe"])
def test_a_wrong_body_is_400_and_starts_nothing(a_run, body):
    executor = Executor(a_run)
    answer = Service(executor).client.post("/runs", data=body)
    assert (answer.status_code, answer.json["error"]["reason"]) == (400, "bad_request")
    assert executor.runs == {}


def test_a_long_body_is_413(a_run):
    assert Service(Executor(a_run)).client.post("/runs", data=bytes(100_000)).status_code == 413


def test_a_run_is_found_by_its_id(a_run):
    service = Service(Executor(a_run))
    service.post(as_of=AS_OF)
    answer = service.client.get(f"/runs/{RUN}")
    assert (answer.status_code, answer.json["run_id"]) == (200, RUN)


@pytest.mark.parametrize("run_id", ["features-sql-20251116t023000z", "features-beam-20251116t021500z", "x"])
def test_an_unknown_run_is_404(a_run, run_id):
    assert Service(Executor(a_run)).client.get(f"/runs/{run_id}").status_code == 404


def test_waiting_answers_when_the_run_has_ended(a_run):
    ends = [a_run(), a_run(), a_run(Status.SUCCEEDED, rows=7)]
    service = Service(Executor(a_run, ends))
    answer = service.post(as_of=AS_OF, wait=True)
    assert (answer.status_code, answer.json["status"], answer.json["rows"]) == (202, "succeeded", 7)
    assert service.slept == [1.0, 1.0, 1.0]
    assert service.told == [
        ("requested", f"{RUN}-1-requested"),
        ("started", f"{RUN}-1-started"),
        ("succeeded", f"{RUN}-1-succeeded"),
    ]


def test_a_run_that_has_not_ended_when_it_was_waited_for_long_enough_is_answered_as_it_is(a_run):
    service = Service(Executor(a_run, first=a_run(Status.REQUESTED)))
    answer = service.post(as_of=AS_OF, wait=True)
    assert (answer.status_code, answer.json["status"], sum(service.slept)) == (202, "requested", WAIT_S)
    assert [kind for kind, _ in service.told] == ["requested"]


def test_a_run_that_vanishes_while_it_is_waited_for_is_503(a_run):
    executor = Executor(a_run)
    executor.find = lambda run_id: None
    answer = Service(executor).post(as_of=AS_OF, wait=True)
    assert (answer.status_code, answer.json["error"]["message"]) == (503, f"{RUN} is not there any more")


def test_every_transition_is_an_event_with_what_the_view_reads(a_run):
    service = Service(Executor(a_run, first=a_run(Status.FAILED, error="why", executor="cloud-run-job")))
    service.post(as_of=AS_OF)
    topics = {topic for topic, _ in service.publisher.published}
    last = json.loads(service.publisher.published[-1][1].data)
    assert topics == {"pmp-ops-events"}
    assert (last["type"], last["source"], last["subject"], last["time"]) == (
        "feature_run.failed",
        "pmp-feature-launcher",
        RUN,
        "2025-11-16T02:15:09Z",
    )
    assert last["data"] == {
        "as_of": AS_OF,
        "known_at": "2026-01-24T16:02:42Z",
        "engine": "sql",
        "executor": "cloud-run-job",
        "attempt": 1,
        "error": "why",
    }


def test_a_run_that_could_not_be_started_is_503_and_told(a_run):
    service = Service(Executor(a_run, first=a_run(Status.FAILED, started_at=None, error="why")))
    answer = service.post(as_of=AS_OF)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json == {"error": {"reason": "unavailable", "message": "why"}}
    assert [kind for kind, _ in service.told] == ["requested", "failed"]


def test_the_attempt_that_failed_before_is_told_first(a_run):
    service = Service(Executor(a_run, first=a_run(attempt=2), follows=a_run(Status.FAILED)))
    service.post(as_of=AS_OF)
    assert service.told == [
        ("failed", f"{RUN}-1-failed"),
        ("requested", f"{RUN}-2-requested"),
        ("started", f"{RUN}-2-started"),
    ]


def test_a_new_run_tells_the_ends_that_nobody_told(a_run):
    executor = Executor(a_run)
    unfinished = [f"features-sql-20251116t0{hour}0000z" for hour in (0, 1)]
    unfinished += ["features-beam-20251116t000000z", "other", "features-sql-20240101t000000z"]
    service = Service(executor, unfinished)
    service.post(as_of="2025-11-16T00:00:00Z")
    service.post(as_of="2025-11-16T01:00:00Z")
    service.publisher.published.clear()
    executor.runs[unfinished[0]] = a_run(Status.SUCCEEDED, as_of=datetime(2025, 11, 16, 0, tzinfo=UTC))
    service.post(as_of=AS_OF)
    assert [kind for kind, _ in service.told] == ["requested", "started", "succeeded"]
    assert service.told[-1][1] == f"{unfinished[0]}-1-succeeded"
    service.publisher.published.clear()
    service.post(as_of=AS_OF)
    assert service.told == []


def test_a_warehouse_that_is_away_does_not_keep_a_run_from_starting(a_run):
    class Away:
        def __iter__(self):
            raise RetryableError("away")

    assert Service(Executor(a_run), Away()).post(as_of=AS_OF).status_code == 202


def test_events_that_cannot_be_published_do_not_keep_a_run_from_starting(a_run, caplog):
    publisher = RecordingPublisher(fail_with=PublishFailed("away"))
    assert Service(Executor(a_run), publisher=publisher).post(as_of=AS_OF).status_code == 202
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == ["transitions.untold"]


def test_an_executor_that_does_not_answer_is_503(a_run):
    service = Service(Executor(a_run, fail_with=RetryableError("away")))
    for answer in (service.post(as_of=AS_OF), service.client.get(f"/runs/{RUN}")):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json == {"error": {"reason": "unavailable", "message": "away"}}


def test_readiness_is_that_of_its_dependencies(a_run):
    service = Service(Executor(a_run))
    assert service.client.get("/readyz").status_code == 200
    service.ready_error = PublishFailed("away")
    assert service.client.get("/readyz").status_code == 503
    assert service.client.get("/health").status_code == 200
