import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pmpctl.errors import CommandError
from pmpctl.local import control
from pmpctl.local.record import StateFolder
from tests.fakes.server_process import free_port
from tests.fakes.waiting import eventually

pytestmark = pytest.mark.integration

PROGRAM = str(Path(__file__).with_name("standin_stack.py"))
SLEEPER = {"name": "sleeper", "argv": ["sleep", "600"]}
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(); time.sleep(600)",
]


def server(name="server", **more):
    port = free_port()
    return {
        "name": name,
        "argv": [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        "ports": [port],
        "health": f"http://127.0.0.1:{port}/",
        **more,
    }


def command(state, specs, *failure):
    return [sys.executable, PROGRAM, str(state.path), json.dumps(specs), *failure]


@pytest.fixture
def state(tmp_path):
    folder = StateFolder(tmp_path / "state")
    yield folder
    control.stop(folder)


@pytest.fixture
def launch(state):
    started = []

    def start(specs, *failure):
        child = subprocess.Popen(command(state, specs, *failure), stderr=subprocess.PIPE, text=True)
        started.append(child)
        return child

    yield start
    for child in started:
        if child.poll() is None:
            child.terminate()
        child.communicate(timeout=30)


def identities(state):
    record = state.read()
    assert record is not None
    return [p.identity for p in record.processes if p.identity is not None]


def ready(state, child):
    eventually(lambda: state.ready.exists() or child.poll() is not None, what="ready")
    assert child.poll() is None, child.communicate()[1]
    found = identities(state)
    assert all(i.alive() for i in found)
    return found


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_everything_and_leaves_no_orphan(launch, state, number, code):
    child = launch([server(stops_last=True), SLEEPER])
    found = ready(state, child)
    child.send_signal(number)
    assert child.wait(30) == code
    assert len(found) == 2
    assert not any(i.alive() for i in found)
    assert not state.ready.exists()
    assert state.read().status == "stopped"


def test_signal_before_everything_has_started_ends_everything(launch, state):
    child = launch([server(), SLEEPER])
    eventually(lambda: state.read() is not None and identities(state), what="a first process")
    child.terminate()
    assert child.wait(30) == 143
    assert not any(i.alive() for i in identities(state))


def test_crash_of_one_child_ends_the_others_and_names_its_log(launch, state):
    child = launch([server(stops_last=True), SLEEPER])
    found = ready(state, child)
    os.kill(found[1].pid, signal.SIGKILL)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 1
    assert said == f"sleeper ended with exit code -9; read {state.log('sleeper')}\n"
    assert not any(i.alive() for i in found)


def test_child_that_crashes_at_once_ends_the_stack(launch, state):
    broken = {"name": "broken", "argv": [sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"]}
    child = launch([server(), broken, SLEEPER])
    _, said = child.communicate(timeout=30)
    assert (child.returncode, said) == (1, f"broken ended with exit code 3; read {state.log('broken')}\n")
    assert state.log("broken").read_text() == "no such thing\n"
    assert not any(i.alive() for i in identities(state))


def test_child_that_ends_well_is_a_failure_too(launch, state):
    child = launch([SLEEPER, {"name": "brief", "argv": ["true"]}])
    _, said = child.communicate(timeout=30)
    assert (child.returncode, said) == (1, f"brief ended with exit code 0; read {state.log('brief')}\n")


def test_failed_set_up_ends_the_stack(launch, state):
    child = launch([server(stops_last=True), SLEEPER], "BigQuery set-up failed: no such dataset")
    _, said = child.communicate(timeout=30)
    assert child.returncode == 1
    assert said == f"BigQuery set-up failed: no such dataset; read {state.log('stack')}\n"
    assert not any(i.alive() for i in identities(state))


def test_deaf_child_is_killed(launch, state):
    child = launch([SLEEPER, {"name": "deaf", "argv": DEAF}])
    found = ready(state, child)
    eventually(lambda: state.log("deaf").is_file(), what="the deaf child to be deaf")
    child.terminate()
    child.wait(30)
    assert not any(i.alive() for i in found)


def test_emulators_end_after_the_services(launch, state):
    child = launch([server("emulator", stops_last=True), server("service")])
    ready(state, child)
    child.terminate()
    child.wait(30)
    log = state.log("stack").read_text()
    assert log.index("service stopped") < log.index("SIGTERM to emulator")


def test_port_in_use_is_told_before_anything_is_started(launch, state):
    taken = server()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", taken["ports"][0]))
        listener.listen()
        _, said = (child := launch([SLEEPER, taken])).communicate(timeout=30)
    assert child.returncode == 1
    assert said.startswith(f"port {taken['ports'][0]} (wanted by server) is in use")
    assert said.count("\n") == 1
    assert state.read() is None


def test_second_stack_is_refused(launch, state):
    child = launch([SLEEPER])
    ready(state, child)
    second = launch([SLEEPER])
    _, said = second.communicate(timeout=30)
    assert second.returncode == 1
    assert said == f"already running (pid {child.pid}); stop it with `pmpctl local down`\n"
    assert child.poll() is None


def test_background_start_returns_when_ready_and_stop_ends_it(state):
    record = control.start(command(state, [server(), SLEEPER]), os.environ, state, tell=lambda what: None)
    assert record.status == "ready"
    assert [(p.name, p.running, p.healthy) for p in control.inspect(record)] == [
        ("server", True, True),
        ("sleeper", True, None),
    ]
    assert control.stop(state) is True
    assert not any(i.alive() for i in identities(state))
    assert control.stop(state) is False


def test_background_failure_shows_the_end_of_the_failing_log(state):
    broken = {"name": "broken", "argv": [sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"]}
    broken["health"] = "http://127.0.0.1:1/"
    with pytest.raises(CommandError) as caught:
        control.start(command(state, [broken, SLEEPER]), os.environ, state, tell=lambda what: None)
    assert str(caught.value) == f"broken ended with exit code 3; read {state.log('broken')}\nno such thing"


def test_stop_cleans_up_after_a_killed_stack(launch, state):
    child = launch([server(), SLEEPER])
    found = ready(state, child)
    child.kill()
    child.wait(5)
    assert control.stop(state) is True
    assert not any(i.alive() for i in found)
    again = launch([SLEEPER])
    ready(state, again)
