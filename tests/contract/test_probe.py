import subprocess
import sys

import pytest

from tests.fakes.http_server import http_server


def probe(port):
    # A proxy of the environment is not used.
    env = {"PORT": str(port), "http_proxy": "http://127.0.0.1:1", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-m", "pmp_runtime.http.probe"]
    return subprocess.run(command, env=env, capture_output=True, timeout=30, check=False)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_the_probe_follows_the_answer_of_healthz(status, code):
    with http_server(lambda request: (status if request.path == "/healthz" else 500, None)) as url:
        assert probe(url.rsplit(":", 1)[1]).returncode == code


def test_without_a_listener_the_probe_fails_and_prints_nothing():
    done = probe(1)
    assert (done.returncode, done.stderr) == (1, b"")
