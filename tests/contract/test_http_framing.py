"""gunicorn as the services configure it: where a request ends, and what becomes of bytes that are no part of it."""

import re
import socket
from contextlib import closing, contextmanager, suppress

import pytest

from pmp_schema.message import Message
from pmp_schema.tables import table
from pmp_schema.topology import TOPOLOGY
from pmp_writer.config import Config
from pmp_writer.sinks import WRITTEN, table_path
from tests.fakes.push_requests import unwrapped, wrapped
from tests.fakes.server_process import free_port, server
from tests.fakes.storage_write import StorageWriteServer

EVENT = b'{"event_id":"e-1","station_id":"A","ts_iso":"2026-01-24T16:00:00Z","kind":"pickup","delta":1}'
THREADS = 9
HEAD = b"POST /push/sensor-events HTTP/1.1\r\nHost: h\r\n"
CONTINUE = [b"HTTP/1.1 100 Continue\r\n", b"\r\n"]
HEALTH = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"


@contextmanager
def writer(folder):
    """The writer over a strict Storage Write server."""
    config = Config(project=TOPOLOGY.local_project)
    tables = {table_path(config, name): table(name) for name in WRITTEN}
    with StorageWriteServer(tables) as storage:
        env = {
            "PROJECT_ID": config.project,
            "PUSH_AUTH": "none",
            "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{free_port()}",
            "BIGQUERY_STORAGE_EMULATOR_HOST": storage.address,
            "THREADS": str(THREADS),
        }
        with server("pmp_writer.wsgi:app", env, folder) as running:
            running.wait()
            yield running


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with writer(tmp_path_factory.mktemp("writer")) as running:
        yield running


@pytest.fixture
def running(process):
    """Whatever a test has sent: nothing was a bug, and the same worker goes on."""
    yield process
    assert process.request("GET", "/health").status == 200
    lines = process.log_lines()
    assert [line for line in lines if "stack_trace" in line] == []
    assert len([line for line in lines if line["message"].startswith("Booting worker")]) == 1


def connect(running, data=b""):
    client = socket.create_connection(("127.0.0.1", running.port), timeout=30)
    client.sendall(data)
    return client


def push(running, data=EVENT, form=wrapped, **attributes):
    headers, body = form(Message(data=data, message_id="7", attributes=attributes))
    return running.request("POST", "/push/sensor-events", body, headers).status


def raw_push(data=EVENT, head=HEAD):
    _, body = wrapped(Message(data=data, message_id="7"))
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def status(client):
    """Of the next answer; 0 at the end of the connection."""
    try:
        line = client.makefile("rb").readline()
    except ConnectionResetError:
        return 0
    return int(line.split()[1]) if line else 0


def answer(running, data):
    with closing(connect(running, data)) as client:
        return status(client)


def responses(running, data):
    """Every status line until the server ends the connection, and whether it said that it would."""
    with closing(connect(running, data)) as client:
        client.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: client.recv(65536), b""))
    statuses = [int(code) for code in re.findall(rb"^HTTP/1\.1 (\d{3})", received, re.MULTILINE)]
    return statuses, b"Connection: close" in received


SMUGGLED = b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n"
TOO_LONG = 15 * 1024 * 1024


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (HEAD + b"Content-Length: %d\r\n\r\n" % TOO_LONG, 413),
        (b"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % TOO_LONG, 404),
        (b"GET /health HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % TOO_LONG, 200),
    ],
)
def test_an_unread_body_is_never_the_next_request(running, head, expected):
    body = SMUGGLED * (TOO_LONG // len(SMUGGLED) + 1)
    with closing(connect(running, head)) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(body[:TOO_LONG])
        received = b""
        with suppress(ConnectionResetError):
            received = b"".join(iter(lambda: client.recv(65536), b""))
    statuses = re.findall(rb"^HTTP/1\.1 (\d{3})", received, re.MULTILINE)
    assert statuses in ([], [b"%d" % expected])  # an RST may discard the response; it is never two


@pytest.mark.parametrize("path", [b"/nowhere", b"/health"])
def test_a_response_to_an_unread_body_ends_the_connection(running, path):
    request = b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (path, len(SMUGGLED))
    statuses, said_so = responses(running, request + SMUGGLED + HEALTH)
    assert len(statuses) == 1
    assert said_so


def test_a_body_that_was_read_keeps_the_connection(running):
    statuses, said_so = responses(running, raw_push() + HEALTH)
    assert (statuses, said_so) == ([204, 200], False)


def test_requests_may_follow_each_other_without_waiting_for_answers(running):
    with closing(connect(running, HEALTH + raw_push() + HEALTH[:20])) as client:
        answers = client.makefile("rb")

        def next_status():
            code = int(answers.readline().split()[1])
            fields = dict(line.split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
            answers.read(int(fields.get(b"Content-Length", b"0")))
            return code

        assert [next_status(), next_status()] == [200, 204]
        client.sendall(HEALTH[20:])
        assert next_status() == 200


def test_a_client_that_waits_for_100_continue_gets_it(running):
    head, _, body = raw_push(head=HEAD + b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with closing(connect(running, head + b"\r\n\r\n")) as client:
        answers = client.makefile("rb")
        assert [answers.readline(), answers.readline()] == CONTINUE
        client.sendall(body)
        line = answers.readline()
        if line == CONTINUE[0]:  # gunicorn says it once more
            assert answers.readline() == CONTINUE[1]
            line = answers.readline()
        assert line.startswith(b"HTTP/1.1 204 ")


def test_a_hundred_attributes_of_full_length_pass_unwrapped(running):
    attributes = {f"a{n:03}{'n' * 252}": "v" * 1024 for n in range(100)}
    assert push(running, form=unwrapped, **attributes) == 204


HEADS = {
    "201 fields": (HEAD + b"X: y\r\n" * 200 + b"\r\n", 431),
    "a long field": (HEAD + b"X: %s\r\n\r\n" % (b"y" * 8190), 431),
    "a long line": (b"GET /%s HTTP/1.1\r\nHost: h\r\n\r\n" % (b"x" * 5000), 414),
    "an endless line": (b"GET /" + b"x" * 300_000, 414),
    "a field without name": (HEAD + b": y\r\n\r\n", 400),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "length and chunks": (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    "an enormous length": (HEAD + b"Content-Length: %s\r\n\r\n" % (b"9" * 30), 413),
    "noise": (bytes(range(256)) + b"\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
}


@pytest.mark.parametrize(("data", "expected"), HEADS.values(), ids=HEADS)
def test_a_bad_head_is_refused(running, data, expected):
    assert answer(running, data) == expected


@pytest.mark.parametrize(
    "chunks",
    [
        b"z\r\n",
        b"-1\r\nab",
        b"2\r\nabc\r\n0\r\n\r\n",
        b"0\r\nno trailer\r\n\r\n",
        b"0\r\nHost: h\r\n\r\n",
        b"1" * 9000,
    ],
)
def test_broken_chunks_are_400(running, chunks):
    assert answer(running, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks) == 400


def test_what_a_client_sends_is_not_in_the_log(running):
    secret = b"Bearer eyJ-a-secret"
    for data in (
        b"%s\r\n\r\n" % secret,
        HEAD + b"%s\r\n\r\n" % secret,
        HEAD + b"%s: x\r\n\r\n" % secret,
        HEAD + b"Expect: %s\r\n\r\n" % secret,
        HEAD + b"Transfer-Encoding: %s\r\n\r\n" % secret,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n%s\r\n" % secret,
        HEAD + b"Content-Length: 5\r\n\r\n{}{}{%s: the rest of a payload\r\n\r\n" % secret,
    ):
        assert answer(running, data) in {400, 417, 501}
    lines = [line for line in running.log_lines() if line["message"].startswith("Invalid request")]
    assert len(lines) >= 6
    assert "secret" not in running.log.read_text("utf-8")
    assert "payload" not in running.log.read_text("utf-8")
