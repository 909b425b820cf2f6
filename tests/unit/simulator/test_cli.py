"""`pmp-simulator` as a process: what a user sees before anything is served."""

import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("pmp-simulator")


def run(*arguments, **env):
    return subprocess.run(
        [COMMAND, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_an_unknown_recording_is_one_line(tmp_path):
    done = run("--feed", str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert done.stderr == f"pmp-simulator: {tmp_path}/nothing is neither a folder nor a file\n"


def test_help_needs_no_variable():
    done = run("--help", COLUMNS="200")
    assert done.returncode == 0
    assert "Usage: pmp-simulator" in done.stdout
