import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pmpctl.errors import CommandError
from pmpctl.local import background
from pmpctl.local.state_folder import StateFolder
from tests.fakes.server_process import free_port
from tests.fakes.waiting import eventually

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).with_name("standin_stack.py")
SLEEPER = {"name": "sleeper", "argv": ["sleep", "600"]}


def python(name, code, **more):
    return {"name": name, "argv": [sys.executable, "-c", code], **more}


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
    return [sys.executable, str(PROGRAM), str(state.path), json.dumps(specs), *failure]


@pytest.fixture
def state(tmp_path):
    folder = StateFolder(tmp_path / "state")
    yield folder
    background.stop(folder)


@pytest.fixture
def launch(state):
    started = []

    def start(specs, *failure):
        pipe = subprocess.PIPE
        child = subprocess.Popen(command(state, specs, *failure), stdout=pipe, stderr=pipe, text=True)
        started.append(child)
        return child

    yield start
    for child in started:
        if child.poll() is None:
            child.terminate()
        child.communicate(timeout=30)


def processes(state):
    record = state.read()
    return {process.name: process for process in record.processes} if record is not None else {}


def identities(state):
    return [process.identity for process in processes(state).values() if process.identity is not None]


def ready(state, child):
    """The processes of a stack that is ready."""

    def is_ready():
        record = state.read()
        return child.poll() is not None or (record is not None and record.status == "ready")

    eventually(is_ready, what="ready")
    assert child.poll() is None, child.communicate()[1]
    return identities(state)


def problems(state):
    record = background.present(state)
    (crashed_at, *_) = [p.crashed_at for p in record.processes if p.crashed_at] or [0]
    return background.inspect(record, crashed_at)[1]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_ends_everything_and_leaves_no_orphan(launch, state, number, code):
    child = launch([server(is_emulator=True), SLEEPER])
    found = ready(state, child)
    child.stdout.close()  # as a terminal does before it sends SIGHUP
    child.send_signal(number)
    assert child.wait(30) == code
    assert not any(i.alive() for i in found)
    assert state.read().status == "stopped"


def test_signal_before_everything_has_started_ends_everything(launch, state):
    child = launch([server(), SLEEPER])
    eventually(lambda: identities(state), what="a first process")
    child.terminate()
    assert child.wait(30) == 143
    assert not any(i.alive() for i in identities(state))


def test_service_that_is_killed_starts_again_and_the_status_says_so(launch, state):
    victim = server(when_ready=True)
    ready(state, launch([SLEEPER, victim]))
    first = eventually(lambda: processes(state)["server"].identity)
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: processes(state)["server"].identity != first, what="another process")
    assert first not in identities(state)
    eventually(
        lambda: problems(state) == ["server ended with exit code -9 and was started again (crashes: 1)"]
    )


def test_crash_loop_is_counted_and_stops_nothing(launch, state):
    broken = python("broken", "print('no such thing'); raise SystemExit(3)", when_ready=True)
    child = launch([server(is_emulator=True), SLEEPER, broken])
    others = ready(state, child)[:2]
    eventually(lambda: processes(state)["broken"].crashes > 1, what="two crashes")
    (problem,) = problems(state)
    assert problem.startswith("broken ended with exit code 3 and ")
    assert all(identity.alive() for identity in others)
    assert set(state.log("broken").read_text().splitlines()) == {"no such thing"}


def test_what_a_killed_service_has_started_ends_with_it(launch, state):
    code = (
        "import subprocess, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"
    )
    ready(state, launch([python("parent", code)]))
    pid = int(eventually(lambda: state.log("parent").read_text().split())[0])
    os.kill(identities(state)[0].pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}/cwd").exists(), what="the end of the grandchild")


def test_end_of_an_emulator_ends_the_stack_and_names_its_log(launch, state):
    child = launch([server(is_emulator=True), SLEEPER])
    found = ready(state, child)
    os.kill(found[0].pid, signal.SIGKILL)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 1
    assert said == f"server ended with exit code -9; read {state.log('server')}\n"
    assert not any(i.alive() for i in found)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (python("broken", "print('no such thing'); raise SystemExit(3)"), "ended with exit code 3"),
        ({"name": "broken", "argv": ["true"]}, "ended with exit code 0"),
        ({"name": "broken", "argv": ["/no/such/program"]}, "cannot be started: [Errno 2] No such file"),
    ],
)
def test_child_that_ends_before_the_stack_is_ready_ends_the_stack(launch, state, spec, reason):
    slow = server(argv=["sleep", "600"])
    child = launch([slow, spec, SLEEPER])
    _, said = child.communicate(timeout=30)
    assert child.returncode == 1
    assert said.startswith(f"broken {reason}")
    assert said.endswith(f"; read {state.log('broken')}\n")
    assert not any(i.alive() for i in identities(state))


def test_failed_set_up_ends_the_stack(launch, state):
    child = launch([server(is_emulator=True), SLEEPER], "BigQuery set-up failed: no such dataset")
    _, said = child.communicate(timeout=30)
    assert child.returncode == 1
    assert said == f"BigQuery set-up failed: no such dataset; read {state.log('stack')}\n"
    assert not any(i.alive() for i in identities(state))


def test_deaf_service_is_killed_and_emulators_end_after_the_services(launch, state):
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    child = launch([server("emulator", is_emulator=True), python("service", code)])
    found = ready(state, child)
    eventually(lambda: state.log("service").read_text(), what="the service to be deaf")
    child.terminate()
    child.wait(30)
    assert not any(i.alive() for i in found)
    log = state.log("stack").read_text()
    assert log.index("SIGKILL to service") < log.index("SIGTERM to emulator")


def test_console_and_log_have_every_line_with_its_process(launch, state):
    code = "import time; print('one\\ntwo', flush=True); time.sleep(600)"
    child = launch([SLEEPER, python("talker", code)])
    ready(state, child)
    eventually(lambda: "two" in state.log("stack").read_text())
    child.terminate()
    shown, _ = child.communicate(timeout=30)
    assert shown == state.log("stack").read_text()
    lines = [line.split(" ", 1)[1] for line in shown.splitlines()]
    assert lines.index("talker  | one") + 1 == lines.index("talker  | two")
    assert state.log("talker").read_text() == "one\ntwo\n"


def test_port_in_use_is_reported_before_anything_is_started(launch, state):
    taken = server()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", taken["ports"][0]))
        listener.listen()
        _, said = (child := launch([SLEEPER, taken])).communicate(timeout=30)
    assert child.returncode == 1
    assert said.startswith(f"port {taken['ports'][0]} (wanted by server) is in use")
    assert said.count("\n") == 1
    assert state.read() is None


def test_background_start_returns_when_ready_and_stop_ends_it(state):
    started = command(state, [server(), SLEEPER])
    record = background.start(started, os.environ, state, show=lambda what: None)
    assert record.status == "ready"
    rows, found = background.inspect(record, 0.0)
    assert [(row["name"], row["running"], row["healthy"]) for row in rows] == [
        ("server", True, True),
        ("sleeper", True, None),
    ]
    assert found == []
    assert background.stop(state) is True
    assert not any(i.alive() for i in identities(state))
    assert background.stop(state) is False


def test_background_failure_shows_the_end_of_the_failing_log(state):
    broken = python("broken", "print('no such thing'); raise SystemExit(3)", health="http://127.0.0.1:1/")
    with pytest.raises(CommandError) as caught:
        background.start(command(state, [broken, SLEEPER]), os.environ, state, show=lambda what: None)
    assert str(caught.value) == f"broken ended with exit code 3; read {state.log('broken')}\nno such thing"


def test_stop_cleans_up_after_a_killed_stack(launch, state):
    child = launch([server(), SLEEPER])
    found = ready(state, child)
    child.kill()
    child.wait(5)
    assert problems(state) == ["the stack is killed: its supervisor was killed: run `pmpctl down`"]
    assert background.stop(state) is True
    assert not any(i.alive() for i in found)
    ready(state, launch([SLEEPER]))
