"""Each service runs with what its own package asks for, and nothing else of the workspace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".pmp" / "uv" / "bin"))
# What must not come with a service: it would make its image heavy, or hide a missing dependency.
FOREIGN = {
    "dashboard": "pyarrow, pmp_writer, bqemulator",
    "collector": "pyarrow, rich, typer, pmp_simulator, pmp_writer, bqemulator",
    "writer": "httpx, typer, pmp_collector, bqemulator",
    "replayer": "pyarrow, pmp_writer, bqemulator",
    "launcher": "pyarrow, apache_beam, pmp_writer, bqemulator",
    "simulator": "pyarrow, grpc, pmp_collector, bqemulator",
}

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        UV is None, reason="uv is neither on the PATH nor in .pmp/uv; `make setup` installs it"
    ),
]


@pytest.mark.parametrize("service", FOREIGN)
def test_an_app_is_imported_in_its_own_environment_without_network_and_variables(
    service: str, tmp_path: Path
):
    env = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(tmp_path), "UV_PYTHON": sys.executable}
    sync = [UV, "sync", "--quiet", "--frozen", "--no-dev", "--no-editable", "--package", f"pmp-{service}"]
    subprocess.run(sync, env=env, cwd=ROOT, check=True, timeout=280)

    program = f"""
import socket
def refuse(*_): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
import pmp_{service}.{"cli" if service == "simulator" else "app"}
import importlib.util
print([name for name in {FOREIGN[service]!r}.split(", ") if importlib.util.find_spec(name)])
"""
    done = subprocess.run(
        [tmp_path / "bin" / "python", "-I", "-c", program],
        env={},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("[]", "", 0)
