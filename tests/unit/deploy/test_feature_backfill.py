from collections import defaultdict
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from pmpctl.errors import CommandError, Unreachable
from pmpctl.features.backfill import ATTEMPTS, Launcher, Report, fill
from pmpctl.features.runs import filled
from pmpctl.features.times import KnownAt

MINUTE = timedelta(minutes=1)
AT = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)
TIMES = tuple(AT + n * 30 * MINUTE for n in range(5))


class FakeLauncher:
    """Runs that end at the second look; those of `failing` fail so often first.

    Attributes:
        started: times in the order in which an attempt for them began.
        most: attempts that were active at once.
    """

    def __init__(self, failing=None):
        self.failing = dict(failing or {})
        self.runs = {}
        self.looks = defaultdict(int)
        self.started = []
        self.most = 0

    def start(self, as_of):
        run = self.runs.get(as_of)
        if run is None or run["status"] == "failed":
            self.started.append(as_of)
            self.runs[as_of] = run = {"run_id": f"r-{as_of:%H%M}", "as_of": as_of, "status": "requested"}
        self.most = max(self.most, self.active)
        return dict(run)

    @property
    def active(self):
        return sum(run["status"] in {"requested", "started"} for run in self.runs.values())

    def look(self, run):
        as_of = run["as_of"]
        self.looks[as_of] += 1
        if self.looks[as_of] % 2:
            self.runs[as_of]["status"] = "started"
        elif self.failing.get(as_of, 0):
            self.failing[as_of] -= 1
            self.runs[as_of] |= {"status": "failed", "error": "killed"}
        else:
            self.runs[as_of]["status"] = "succeeded"
        return dict(self.runs[as_of])


def ends(launcher, times=TIMES, at_once=2):
    return [
        (as_of, run["status"]) for as_of, run in fill(times, launcher, at_once=at_once, pause=lambda _: None)
    ]


def test_runs_are_started_in_order_and_never_more_than_wanted_at_once():
    launcher = FakeLauncher()
    assert ends(launcher) == [(as_of, "succeeded") for as_of in TIMES]
    assert launcher.started == list(TIMES)
    assert launcher.most == 2


def test_a_run_that_failed_is_tried_again_and_the_others_go_on():
    launcher = FakeLauncher({TIMES[0]: ATTEMPTS - 1})
    assert sorted(ends(launcher)) == [(as_of, "succeeded") for as_of in TIMES]
    assert launcher.started.count(TIMES[0]) == ATTEMPTS


def test_a_run_that_fails_every_time_is_given_up_and_reported():
    launcher = FakeLauncher({TIMES[1]: 99})
    assert dict(ends(launcher)) == dict.fromkeys(TIMES, "succeeded") | {TIMES[1]: "failed"}
    assert launcher.started.count(TIMES[1]) == ATTEMPTS


def test_who_stops_in_the_middle_and_begins_again_starts_nothing_twice():
    launcher = FakeLauncher()
    stopped = fill(TIMES, launcher, at_once=3, pause=lambda _: None)
    next(stopped)
    stopped.close()
    assert ends(launcher) == [(as_of, "succeeded") for as_of in TIMES]
    assert launcher.started == list(TIMES)


def test_nothing_to_do_asks_nobody():
    launcher = FakeLauncher()
    assert ends(launcher, times=()) == []
    assert launcher.started == []


class Session:
    """Sends nothing: gives answers, or raises them; the last one again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []
        self.pauses = []

    def url(self, service):
        return f"http://{service}:1"

    def send(self, request):
        self.sent.append(str(request))
        told = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(told, Exception):
            raise told
        return told

    def pause(self, seconds):
        self.pauses.append(seconds)


STARTED = httpx.Response(202, json={"run_id": "r", "status": "started"})
AWAY = Unreachable("no answer from launcher")
BUSY = httpx.Response(503, json={"error": {"message": "BigQuery does not answer"}})


def test_a_launcher_that_is_away_for_the_moment_is_asked_again():
    session = Session(AWAY, BUSY, STARTED)
    launcher = Launcher(session, "sql", KnownAt(delay=5 * MINUTE))
    assert launcher.start(AT) == {"run_id": "r", "status": "started"}
    body = '{"as_of":"2025-11-16T02:15:00Z","known_at":"2025-11-16T02:20:00Z","engine":"sql"}'
    assert session.sent == [f"POST http://launcher:1/runs {body}"] * 3
    assert session.pauses == [1.0, 2.0]


@pytest.mark.parametrize(
    ("away", "said"), [(AWAY, "no answer"), (BUSY, "answered 503: BigQuery does not answer")]
)
def test_a_launcher_that_stays_away_ends_the_backfill(away, said):
    session = Session(away)
    with pytest.raises(CommandError, match=said):
        Launcher(session, None, KnownAt()).start(AT)
    assert len(session.sent) == 6


def test_what_the_launcher_refuses_is_asked_once():
    session = Session(httpx.Response(400, json={"error": {"message": "engine: beam has no executor here"}}))
    with pytest.raises(CommandError, match="answered 400: engine: beam has no executor here"):
        Launcher(session, "beam", KnownAt()).start(AT)
    assert len(session.sent) == 1


def run(as_of, minutes, engine="sql", succeeded=True):
    return {
        "as_of": as_of,
        "known_at": as_of + minutes * MINUTE,
        "engine": engine,
        "has_succeeded": succeeded,
    }


def test_a_time_is_filled_when_a_run_of_the_engine_has_succeeded():
    runs = [run(TIMES[1], 1), run(TIMES[0], 2, "beam"), run(TIMES[2], 3, succeeded=False)]
    assert filled(runs, None) == {TIMES[0]: TIMES[0] + 2 * MINUTE, TIMES[1]: TIMES[1] + MINUTE}
    assert filled(runs, "sql") == {TIMES[1]: TIMES[1] + MINUTE}


def test_rows_may_know_what_any_run_for_them_knew():
    runs = [run(AT, 3, "beam"), run(AT, 1), run(AT, 5, "beam", succeeded=False)]
    assert filled(runs, "sql") == {AT: AT + 5 * MINUTE}


def test_the_report_is_complete_when_every_time_has_rows_that_know_no_more_than_was_asked_for():
    report = Report(times=3, there=1, known_at=KnownAt(delay=5 * MINUTE))
    report.compare(AT, AT + MINUTE)
    report.add(TIMES[1], {"status": "succeeded", "known_at": "2025-11-16T02:50:00Z"})
    assert not report.is_complete
    report.add(TIMES[2], {"status": "succeeded", "known_at": "2025-11-16T03:20:00Z"})
    assert (report.is_complete, str(report)) == (True, "3 times: 2 computed, 1 already present")


def test_the_report_tells_failures_later_rows_and_what_was_not_begun():
    report = Report(times=5, there=1, known_at=KnownAt(at=AT))
    report.compare(AT, AT + MINUTE)
    report.add(TIMES[1], {"status": "failed", "run_id": "r-1", "error": "killed"})
    report.add(TIMES[2], {"status": "succeeded", "known_at": "2025-11-16T02:15:00Z"})
    assert str(report) == (
        "5 times: 1 computed, 1 already present, 1 failed, 2 not started or still running; "
        "1 may know more than the options allow"
    )
    assert report.as_json() == {
        "times": 5,
        "there": 1,
        "filled": 1,
        "failed": [{"as_of": TIMES[1], "run_id": "r-1", "error": "killed"}],
        "later": [{"as_of": AT, "known_at": AT + MINUTE}],
    }
    assert not report.is_complete
