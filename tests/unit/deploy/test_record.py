import os
import subprocess

import pytest

from pmp_runtime.processes import ProcessId
from pmpctl.errors import CommandError
from pmpctl.local import control
from pmpctl.local.record import ProcessRecord, Record, StateFolder


@pytest.fixture
def state(tmp_path):
    return StateFolder(tmp_path / "state")


def own():
    identity = ProcessId.of(os.getpid())
    assert identity is not None
    return identity


def test_record_survives_the_file(state):
    record = Record(
        status="ready",
        supervisor=own(),
        processes=(
            ProcessRecord(name="a", ports=(1, 2), health="http://x", identity=ProcessId(3, "4")),
            ProcessRecord(name="b", ports=(), health=None),
        ),
        urls={"a": "http://x"},
    )
    with state.exclusive():
        state.write(record)
    assert state.read() == record
    assert state.running() == record


def test_later_process_with_the_same_number_is_not_mistaken():
    assert own().alive()
    assert not ProcessId(os.getpid(), "another time").alive()


def test_ended_process_is_not_alive_even_before_it_is_waited_for():
    child = subprocess.Popen(["sleep", "60"])
    identity = ProcessId.of(child.pid)
    assert identity is not None
    assert identity.alive()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.alive()
    child.wait()


def test_second_stack_in_the_same_folder_is_refused(state):
    with state.exclusive():
        state.write(Record(status="ready", supervisor=own(), processes=()))
        with pytest.raises(CommandError, match=rf"already running \(pid {os.getpid()}\)"), state.exclusive():
            pass


def test_stop_without_a_stack_does_nothing(state):
    assert control.stop(state) is False


def test_stop_never_touches_a_process_that_only_has_the_number(state):
    stranger = ProcessId(os.getpid(), "another time")
    processes = (ProcessRecord(name="a", ports=(), health=None, identity=stranger),)
    with state.exclusive():
        state.write(Record(status="ready", supervisor=stranger, processes=processes))
    assert control.stop(state) is False
