"""The watcher and the executor of local runs, with real processes and no services."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from signal import SIGTERM

import pytest

from pmp_launcher.local import locks
from pmp_launcher.local.executor import LocalExecutor
from pmp_launcher.local.folder import Attempt, Request, Start
from pmp_launcher.local.watch import watch
from pmp_runtime.processes import ProcessId
from pmp_schema.features.runs import Engine, Status, Wanted
from tests.fakes.pubsub_server import pubsub_server

NOW = datetime(2025, 11, 16, 2, 16, tzinfo=UTC)
WANTED = Wanted(engine=Engine.SQL, as_of=NOW - timedelta(minutes=1), known_at=NOW - timedelta(minutes=1))
RUN = "features-sql-20251116t021500z"
SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def attempt(tmp_path):
    folder = tmp_path / RUN / "1"
    folder.mkdir(parents=True)
    attempt = Attempt(folder)
    attempt.save(Request(wanted=WANTED, attempt=1, requested_at=NOW))
    return attempt


def watched(attempt, tmp_path, command, deadline_s=60):
    told = []
    with locks.held(attempt.alive) as alive:
        watch(
            attempt,
            attempt.request(),
            command,
            turn=tmp_path / "turn",
            alive=alive,
            deadline_s=deadline_s,
            tell=lambda events: told.extend(event.attributes["ce-id"] for event in events),
            now=lambda: NOW,
        )
    return attempt.run(attempt.request(), NOW), told


def test_a_process_that_ends_well_is_a_success(attempt, tmp_path):
    run, told = watched(attempt, tmp_path, [sys.executable, "-c", ""])
    assert (run.status, run.error, run.wanted) == (Status.SUCCEEDED, None, WANTED)
    assert told == [f"{RUN}-1-started", f"{RUN}-1-succeeded"]


def test_a_process_beyond_its_deadline_is_killed(attempt, tmp_path):
    run, told = watched(attempt, tmp_path, SLEEPS, deadline_s=0.2)
    assert (run.status, run.error) == (Status.FAILED, "deadline of 0.2 s")
    assert told == [f"{RUN}-1-started", f"{RUN}-1-failed"]


def test_a_command_that_is_not_there_is_a_failure(attempt, tmp_path):
    run, told = watched(attempt, tmp_path, [str(tmp_path / "none")])
    assert (run.status, run.error) == (Status.FAILED, "could not be started: No such file or directory")
    assert told == [f"{RUN}-1-failed"]


def executor(tmp_path, now=NOW):
    return LocalExecutor(tmp_path, {}, deadline_s=60, now=lambda: now)


def test_an_attempt_that_nothing_is_alive_of_was_killed(attempt, tmp_path):
    run = executor(tmp_path).find(RUN)
    assert (run.status, run.error, run.finished_at) == (Status.FAILED, "killed", NOW)


def test_an_attempt_is_alive_while_one_of_its_processes_lives(attempt, tmp_path):
    with locks.held(attempt.alive):
        assert executor(tmp_path).find(RUN).status is Status.REQUESTED
        attempt.save(Start(at=NOW))
        assert executor(tmp_path).find(RUN).status is Status.STARTED


def test_an_unwatched_process_is_ended_after_the_deadline(attempt, tmp_path):
    with locks.held(attempt.alive, release=False) as alive:
        process = subprocess.Popen(SLEEPS, pass_fds=(alive,))
    try:
        attempt.save(Start(at=NOW, process=ProcessId.of(process.pid)))
        assert executor(tmp_path, NOW + timedelta(seconds=90)).find(RUN).status is Status.STARTED
        assert process.poll() is None
        executor(tmp_path, NOW + timedelta(seconds=91)).find(RUN)
        assert process.wait(10) == -9
    finally:
        process.kill()
    assert executor(tmp_path).find(RUN).status is Status.FAILED


def test_a_process_that_has_ended_is_not_looked_for_while_the_attempt_is_alive(attempt, tmp_path):
    process = subprocess.Popen(SLEEPS)
    identity = ProcessId.of(process.pid)
    process.kill()
    process.wait(10)
    attempt.save(Start(at=NOW, process=identity))
    with locks.held(attempt.alive):
        assert executor(tmp_path, NOW + timedelta(seconds=91)).find(RUN).status is Status.STARTED


def test_a_later_process_of_the_same_number_is_left_alone(attempt, tmp_path):
    process = subprocess.Popen(SLEEPS)
    try:
        attempt.save(Start(at=NOW, process=ProcessId(process.pid, started="0")))
        with locks.held(attempt.alive):
            executor(tmp_path, NOW + timedelta(seconds=91)).find(RUN)
        process.terminate()
        assert process.wait(10) == -SIGTERM, "not killed before"
    finally:
        process.kill()
        process.wait(10)


def test_the_process_of_an_attempt_is_written_down_with_its_start(attempt, tmp_path):
    watched(attempt, tmp_path, SLEEPS, deadline_s=0.2)
    assert attempt.start().process.started


def test_a_folder_without_a_request_is_no_attempt_and_its_number_is_not_used_again(tmp_path):
    (tmp_path / RUN / "1").mkdir(parents=True)
    assert executor(tmp_path).find(RUN) is None
    starting = LocalExecutor(
        tmp_path, {Engine.SQL: (sys.executable, "-c", "")}, deadline_s=60, now=lambda: NOW
    )
    launch = starting.start(WANTED)
    assert (launch.is_new, launch.run.attempt) == (True, 2)


def test_of_fifty_at_once_one_starts_an_attempt(tmp_path, monkeypatch):
    def slow_clock():
        time.sleep(0.005)  # between looking and starting
        return NOW

    commands = {Engine.SQL: (sys.executable, "-c", "")}
    with pubsub_server() as pubsub, ThreadPoolExecutor(50) as pool:
        monkeypatch.setenv("PROJECT_ID", "pmp-test")
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.address)
        starting = LocalExecutor(tmp_path, commands, deadline_s=60, now=slow_clock)
        launches = list(pool.map(lambda _: starting.start(WANTED), range(50)))
        attempt = Attempt(tmp_path / RUN / "1")
        with locks.held(attempt.alive):  # its processes have ended
            pass
    assert [launch.is_new for launch in launches].count(True) == 1
    assert {launch.run.attempt for launch in launches} == {1}
    assert attempt.run(attempt.request(), NOW).status is Status.SUCCEEDED


def test_an_unknown_run_leaves_no_trace(tmp_path):
    assert executor(tmp_path).find(RUN) is None
    assert list(tmp_path.iterdir()) == []
