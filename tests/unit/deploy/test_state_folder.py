import os
import subprocess

import pytest

from pmp_runtime.processes import ProcessId
from pmpctl.errors import CommandError
from pmpctl.local import background
from pmpctl.local.state_folder import ProcessRecord, Record, StateFolder

ME = ProcessId.of(os.getpid())
STRANGER = ProcessId(os.getpid(), "another time")


@pytest.fixture
def state(tmp_path):
    return StateFolder(tmp_path / "state")


def test_record_survives_the_file(state):
    record = Record(
        status="ready",
        supervisor=ME,
        processes=(
            ProcessRecord(name="a", ports=(1, 2), health="http://x", identity=ProcessId(3, "4")),
            ProcessRecord(name="b", ports=(), health=None, crashes=2, exit_code=-9, crashed_at=1.5),
        ),
        urls={"a": "http://x"},
    )
    with state.exclusive():
        state.write(record)
    assert state.read() == record
    assert state.running() == record


def test_a_record_of_another_version_is_one_line(state):
    state.logs.mkdir(parents=True)
    (state.path / "stack.json").write_text('{"status": "ready"}')
    with pytest.raises(CommandError, match=r"stack\.json cannot be read .*: remove it"):
        state.read()


def test_a_folder_that_cannot_be_written_is_one_line(state):
    state.path.write_text("a file")
    with pytest.raises(CommandError, match="cannot be used: Not a directory"), state.exclusive():
        pass


def test_ended_process_is_not_alive_even_before_it_is_waited_for():
    child = subprocess.Popen(["sleep", "60"])
    identity = ProcessId.of(child.pid)
    assert identity.alive()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.alive()
    child.wait()


def test_second_stack_in_the_same_folder_is_refused(state):
    with state.exclusive():
        state.write(Record(status="ready", supervisor=ME, processes=()))
        with pytest.raises(CommandError, match=rf"already running \(pid {os.getpid()}\)"), state.exclusive():
            pass


def test_stop_never_touches_a_process_that_only_has_the_number(state):
    assert background.stop(state) is False
    processes = (ProcessRecord(name="a", ports=(), health=None, identity=STRANGER),)
    with state.exclusive():
        state.write(Record(status="ready", supervisor=STRANGER, processes=processes))
    assert background.stop(state) is False
