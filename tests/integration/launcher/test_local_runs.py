"""Local runs through gunicorn, with processes of a stand-in for the pipeline."""

import http.client
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.pubsub_server import pubsub_server
from tests.fakes.server_process import server
from tests.fakes.waiting import eventually

AS_OF = "2025-11-16T02:15:00Z"
RUN = "features-beam-20251116t021500z"
PATIENCE_S = 60

# Notes that it has begun and with which arguments; ends when it may, as it is told.
PIPELINE = """
import os, pathlib, sys, time
folder = pathlib.Path(os.environ["PIPELINE_FOLDER"])
(folder / f"begun-{os.getpid()}").write_text(" ".join(sys.argv[1:]))
while not (folder / "may-end").exists():
    time.sleep(0.02)
sys.exit(int((folder / "may-end").read_text() or 0))
"""


class Stack:
    """A launcher of two workers."""

    def __init__(self, running, folder, events):
        self.server, self.folder, self._events = running, folder, events

    def call(self, method, path, **body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request(method, path, json.dumps(body) if body else None)
        answer = connection.getresponse()
        status, content = answer.status, json.loads(answer.read())
        connection.close()
        return status, content

    def post(self, **body):
        return self.call("POST", "/runs", **{"as_of": AS_OF, "engine": "beam"} | body)

    def state(self, run_id=RUN):
        return self.call("GET", f"/runs/{run_id}")[1]

    def begun(self):
        """Arguments by process id."""
        return {int(path.name.split("-")[1]): path.read_text() for path in self.folder.glob("begun-*")}

    def end(self, code=0):
        (self.folder / "may-end").write_text(str(code))

    def told(self, run_id=RUN):
        """(transition, data) by event id, as first told."""
        told = {}
        for data in self._events():
            event = json.loads(data)
            if event["subject"] == run_id:
                told.setdefault(event["id"], (event["type"].removeprefix("feature_run."), event["data"]))
        return told


@pytest.fixture
def stack(tmp_path):
    packages = tmp_path / "packages" / "pmp_beam"
    packages.mkdir(parents=True)
    (packages / "__init__.py").touch()
    (packages / "__main__.py").write_text(PIPELINE)
    with pubsub_server() as pubsub:
        path = [str(packages.parent), os.environ.get("PYTHONPATH", "")]
        env = {
            "PROJECT_ID": "pmp-test",
            "LAUNCHER_EXECUTOR": "local",
            "LAUNCHER_STATE_DIR": str(tmp_path / "state"),
            "LAUNCHER_QUERY_TIMEOUT_S": "0.2",
            "LAUNCHER_DEADLINE_S": "120",
            "PUBSUB_EMULATOR_HOST": pubsub.address,
            "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9",
            "PIPELINE_FOLDER": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "GUNICORN_CMD_ARGS": "--workers 2",
            "THREADS": "25",
        }
        with server("pmp_launcher.wsgi:app", env, tmp_path) as running:
            running.wait()
            stack = Stack(running, tmp_path, lambda: [message.data for _, message in pubsub.published])
            yield stack
            stack.end()  # what a failed test has left behind


def children(pid):
    """Process ids, from the kernel."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except FileNotFoundError:
            continue
    return found


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_of_fifty_requests_at_once_one_starts_one_process(stack):
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: stack.post(), range(50)))
    assert sorted(status for status, _ in answers) == [200] * 49 + [202]
    assert {(body["run_id"], body["attempt"]) for _, body in answers} == {(RUN, 1)}
    eventually(stack.begun)
    assert stack.state()["status"] == "started"
    assert stack.post()[0] == 200
    stack.end()
    eventually(lambda: stack.state()["status"] == "succeeded")
    (arguments,) = stack.begun().values()
    known_at = stack.state()["known_at"]
    assert arguments == (
        f"station_features --runner=direct --provisional --as-of={AS_OF} --known-at={known_at} --run-id={RUN}-1"
    )
    assert stack.post()[0] == 200
    eventually(lambda: f"{RUN}-1-succeeded" in stack.told())
    assert [kind for kind, _ in stack.told().values()] == ["requested", "started", "succeeded"]


def test_a_killed_process_is_a_failed_run_that_the_next_request_attempts_again(stack):
    stack.post()
    (pid,) = eventually(stack.begun)
    os.kill(pid, signal.SIGKILL)
    failed = eventually(lambda: (state := stack.state())["status"] == "failed" and state)
    assert failed["error"] == "killed by SIGKILL"
    eventually(lambda: f"{RUN}-1-failed" in stack.told())
    stack.end()
    status, again = stack.post(wait=True)
    assert (status, again["attempt"], again["status"]) == (202, 2, "succeeded")
    assert len(stack.begun()) == 2


def test_a_run_all_of_whose_processes_were_killed_has_failed_and_is_told_by_the_next(stack):
    stack.post()
    (pid,) = eventually(stack.begun)
    watcher = parent(pid)
    os.kill(watcher, signal.SIGKILL)
    assert stack.post() == (200, stack.state())
    assert stack.state()["status"] == "started", "its process lives on, unwatched"
    os.kill(pid, signal.SIGKILL)
    failed = eventually(lambda: (state := stack.state())["status"] == "failed" and state)
    assert failed["error"] == "killed"
    stack.end()
    assert stack.post(wait=True)[1]["status"] == "succeeded"
    assert stack.told()[f"{RUN}-1-failed"][1]["error"] == "killed"


def test_a_process_that_fails_says_so(stack):
    stack.end(7)
    status, run = stack.post(wait=True)
    assert (status, run["status"], run["error"]) == (202, "failed", "exit code 7; see its output.log")


def test_runs_of_other_times_take_turns(stack):
    later = "2025-11-16T02:40:00Z"
    stack.post()
    eventually(stack.begun)
    assert stack.post(as_of=later)[0] == 202
    waiting = "features-beam-20251116t024000z"
    time.sleep(0.3)
    assert (stack.state(waiting)["status"], len(stack.begun())) == ("requested", 1)
    stack.end()
    eventually(lambda: stack.state(waiting)["status"] == "succeeded")
    assert len(stack.begun()) == 2


def test_a_launcher_that_is_killed_finds_its_runs_again(stack):
    stack.post()
    (pid,) = eventually(stack.begun)
    workers = children(stack.server.process.pid)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    eventually(lambda: set(children(stack.server.process.pid)).isdisjoint(workers))
    stack.server.wait()
    assert until_answered(stack)["status"] == "started"
    stack.end()
    eventually(lambda: stack.state()["status"] == "succeeded")
    assert list(stack.begun()) == [pid]


def until_answered(stack):
    def ask():
        try:
            return stack.state()
        except (ConnectionError, http.client.HTTPException):
            return None

    return eventually(ask)


def test_a_run_ends_with_its_watcher_s_signal(stack):
    stack.post()
    (pid,) = eventually(stack.begun)
    os.kill(parent(pid), signal.SIGTERM)
    failed = eventually(lambda: (state := stack.state())["status"] == "failed" and state)
    assert failed["error"] == "stopped"
    assert not Path(f"/proc/{pid}").exists()
