import subprocess
import sys
from dataclasses import replace
from signal import SIGTERM

import pytest

from pmp_runtime.processes import ProcessId


@pytest.fixture
def process():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait(10)


def test_a_process_is_found_and_killed_by_its_identity_until_it_has_ended(process):
    identity = ProcessId.of(process.pid)
    assert identity.alive()
    identity.kill()
    assert process.wait(10) == -9
    assert not identity.alive()
    assert ProcessId.of(process.pid) is None
    identity.kill()  # once more, without an error


def test_a_later_process_of_the_same_number_is_another_one(process):
    earlier = replace(ProcessId.of(process.pid), started="0")
    earlier.kill()
    assert not earlier.alive()
    process.terminate()
    assert process.wait(10) == -SIGTERM, "not killed before"
