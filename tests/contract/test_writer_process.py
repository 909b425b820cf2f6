"""The writer as gunicorn runs it, with nothing behind it that answers."""

import http.client
import json
import socket
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress

import pytest

from pmp_schema.message import Message
from pmp_schema.topology import TOPOLOGY
from pmp_writer.app import MAX_BODY_BYTES
from tests.fakes.push_requests import wrapped
from tests.fakes.server_process import free_port, server

APP = "pmp_writer.wsgi:app"
EVENT = b'{"event_id":"e-1","station_id":"A","ts_iso":"2026-01-24T16:00:00Z","kind":"pickup","delta":1}'
PUBLISH_S = 4


def environment():
    """Emulators on ports where nobody listens."""
    return {
        "PROJECT_ID": TOPOLOGY.local_project,
        "PUSH_AUTH": "none",
        "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{free_port()}",
        "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{free_port()}",
        "WRITER_PUBLISH_TIMEOUT_S": str(PUBLISH_S),
    }


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    with server(APP, environment(), tmp_path_factory.mktemp("writer")) as running:
        running.wait()
        yield running


def push(running, data):
    headers, body = wrapped(Message(data=data, message_id="7"))
    return running.request("POST", "/push/sensor-events", body, headers)


def test_it_is_healthy_and_not_ready(writer):
    assert writer.request("GET", "/health").status == 200
    started = time.monotonic()
    assert writer.request("GET", "/readyz").status == 503
    assert time.monotonic() - started < TOPOLOGY.push_policy.handler_budget_s


@pytest.mark.parametrize("data", [EVENT, b"poison"])
def test_a_push_is_answered_503_long_before_the_ack_deadline(writer, data):
    started = time.monotonic()
    answer = push(writer, data)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert time.monotonic() - started < TOPOLOGY.push_policy.handler_budget_s


@pytest.mark.parametrize(("body", "status"), [(b"", 400), (b"{}", 400)])
def test_hostile_bodies_are_answered_over_a_real_connection(writer, body, status):
    assert writer.request("POST", "/push/sensor-events", body).status == status
    assert writer.request("GET", "/health").status == 200


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_above_the_limit_is_413(writer, is_chunked):
    connection = http.client.HTTPConnection("127.0.0.1", writer.port, timeout=60)
    size = MAX_BODY_BYTES + 1
    body = iter([bytes(size)]) if is_chunked else bytes(size)
    headers = {} if is_chunked else {"Content-Length": str(size)}
    with suppress(BrokenPipeError, ConnectionResetError):  # the response comes before the end of the body
        connection.request("POST", "/push/sensor-events", body, headers, encode_chunked=is_chunked)
    with suppress(ConnectionResetError):
        assert connection.getresponse().status == 413
    connection.close()
    assert writer.request("GET", "/health").status == 200


def test_a_hundred_attributes_fit_the_headers(writer):
    headers = {f"a{n}": "v" * 1024 for n in range(100)} | {"X-Goog-Pubsub-Message-Id": "7"}
    assert writer.request("POST", "/push/sensor-events", EVENT, headers).status == 503


def test_sigterm_answers_what_is_in_flight_and_every_line_is_json(tmp_path):
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections and never says a word
    env = environment() | {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{silent.getsockname()[1]}", "THREADS": "16"}
    with silent, server(APP, env, tmp_path) as running:
        running.wait()
        with ThreadPoolExecutor(9) as pool:
            answers = [pool.submit(push, running, b"poison") for _ in range(9)]
            # Eight wait for a publish that will not be confirmed as soon as there is no place for the ninth.
            assert len(wait(answers, PUBLISH_S, FIRST_COMPLETED).done) == 1
            assert running.terminate() == 0
            assert [answer.result().status for answer in answers] == [503] * 9
        lines = running.log_lines()
    assert {"severity", "message", "logger", "time"} <= lines[0].keys()
    assert Counter(line["message"] for line in lines if line["logger"] == "pmp_writer.app") == {
        "push.refused": 1,
        "message.retried": 8,
    }
    assert any(line["logger"] == "gunicorn.error" for line in lines)


def test_a_wrong_environment_ends_the_start_with_its_reason(tmp_path):
    with server(APP, {"PUSH_AUTH": "none"}, tmp_path) as running:
        assert running.process.wait(30) != 0
        log = running.log.read_text("utf-8")
    failure = (
        next(line for line in map(json.loads, log.splitlines()) if "stack_trace" in line) if log else None
    )
    assert failure is not None
    assert "ConfigError: unset: PROJECT_ID" in failure["stack_trace"]
