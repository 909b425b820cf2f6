import json
import queue
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pmp_schema.topology import TOPOLOGY

pytestmark = pytest.mark.integration


@pytest.fixture
def service():
    calls = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            calls.put((self.path, self.headers["X-CloudScheduler-ScheduleTime"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", calls
    server.shutdown()
    thread.join()
    server.server_close()


SCHEDULES = TOPOLOGY.schedules_of("sql")


def test_scheduler_calls_at_once_and_ends_clean(service):
    url, calls = service
    env = {f"{key.upper()}_URL": url for key in TOPOLOGY.services}
    command = [sys.executable, "-m", "pmpctl", "scheduler"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        first = [calls.get(timeout=30) for _ in SCHEDULES]
        lines = [json.loads(process.stdout.readline()) for _ in SCHEDULES]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert {path for path, _ in first} == {s.path for s in SCHEDULES}
    assert all(time.endswith("Z") for _, time in first)
    assert {(line["message"], line["status"]) for line in lines} == {("schedule.called", "200")}
