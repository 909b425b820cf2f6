"""Each package runs with its own dependencies, and nothing else of the workspace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.test_boundaries import ROOT, modules

UV = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".pmp" / "uv" / "bin"))
# What an environment must not hold: it would make an image heavy, or hide a missing dependency.
FOREIGN = {
    "schema": "pmp_runtime, flask, google, httpx",
    "curation": "apache_beam, flask, gunicorn, pmp_writer, bqemulator",
    "dashboard": "pyarrow, pmp_writer, bqemulator",
    "collector": "pyarrow, rich, typer, pmp_simulator, pmp_writer, bqemulator",
    "writer": "httpx, typer, pmp_collector, bqemulator",
    "replayer": "pyarrow, pmp_writer, bqemulator",
    "launcher": "pyarrow, apache_beam, pmp_writer, bqemulator",
    "simulator": "pyarrow, grpc, pmp_collector, bqemulator",
}
WITHOUT_NETWORK = """
import importlib, importlib.util, socket
def refuse(*_): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
for name in {wanted!r}: importlib.import_module(name)
print([name for name in {foreign!r}.split(", ") if importlib.util.find_spec(name)])
"""

pytestmark = [
    pytest.mark.rest,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        UV is None, reason="uv is neither on the PATH nor in .pmp/uv; `make setup` installs it"
    ),
]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_package_is_imported_in_its_own_environment_without_network_and_variables(
    name: str, tmp_path: Path
):
    env = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(tmp_path), "UV_PYTHON": sys.executable}
    sync = [UV, "sync", "--quiet", "--frozen", "--no-dev", "--no-editable", "--package", f"pmp-{name}"]
    # uv would take a package of the workspace as it was built last, whatever has changed in its sources.
    for package in ("schema", "runtime", "curation", name):
        sync += ["--refresh-package", f"pmp-{package}"]
    subprocess.run(sync, env=env, cwd=ROOT, check=True, timeout=280)

    found = [module for module, _ in modules(f"pmp_{name}")]
    wanted = [module for module in found if not module.endswith((".wsgi", ".__main__"))]
    done = subprocess.run(
        [
            tmp_path / "bin" / "python",
            "-I",
            "-c",
            WITHOUT_NETWORK.format(wanted=wanted, foreign=FOREIGN[name]),
        ],
        env={},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("[]", "", 0)
