import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest


def probe(port):
    # A proxy of the environment has no part in it.
    env = {"PORT": str(port), "http_proxy": "http://127.0.0.1:1", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-m", "pmp_runtime.http.probe"]
    return subprocess.run(command, env=env, capture_output=True, timeout=30, check=False)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_a_container_is_healthy_where_its_service_says_so(status, code):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/healthz" else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        assert probe(server.server_port).returncode == code
        thread.join(5)


def test_nothing_that_listens_is_unhealthy_and_no_traceback():
    done = probe(1)
    assert (done.returncode, done.stderr) == (1, b"")
