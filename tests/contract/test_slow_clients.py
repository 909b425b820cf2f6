"""gunicorn as the services configure it, and clients that send slowly, not at all, or too much."""

import socket
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from pmp_schema.message import Message
from pmp_schema.tables import table
from pmp_schema.topology import TOPOLOGY
from pmp_writer.config import Config
from pmp_writer.sinks import WRITTEN, table_path
from tests.fakes.impatient_worker import SLOWNESS_S
from tests.fakes.push_requests import unwrapped, wrapped
from tests.fakes.server_process import free_port, server
from tests.fakes.storage_write import StorageWriteServer
from tests.fakes.waiting import eventually

ROOT = Path(__file__).parents[2]
EVENT = b'{"event_id":"e-1","station_id":"A","ts_iso":"2026-01-24T16:00:00Z","kind":"pickup","delta":1}'
THREADS = 9
CROWD = 4 * THREADS
HEAD = b"POST /push/sensor-events HTTP/1.1\r\nHost: h\r\n"
CONTINUE = [b"HTTP/1.1 100 Continue\r\n", b"\r\n"]
HEALTH = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"
SLOW = {
    "silent": b"",
    "head": HEAD,
    "body": HEAD + b"Content-Length: 1000\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n",
    "unwanted body": b"GET /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n",
    "second request": HEALTH + HEAD,
    "never hangs up": b"GET /health HTTP/1.0\r\n\r\n",
}


@contextmanager
def writer(folder, arguments=""):
    """The writer over a strict Storage Write server, with arguments for gunicorn."""
    config = Config(project=TOPOLOGY.local_project)
    tables = {table_path(config, name): table(name) for name in WRITTEN}
    with StorageWriteServer(tables) as storage:
        env = {
            "PROJECT_ID": config.project,
            "PUSH_AUTH": "none",
            "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{free_port()}",
            "BIGQUERY_STORAGE_EMULATOR_HOST": storage.address,
            "THREADS": str(THREADS),
            "PYTHONPATH": str(ROOT),
            "GUNICORN_CMD_ARGS": arguments,
        }
        with server("pmp_writer.wsgi:app", env, folder) as running:
            running.wait()
            yield running


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    with writer(tmp_path_factory.mktemp("patient")) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    worker = "--worker-class tests.fakes.impatient_worker.ImpatientWorker"
    with writer(tmp_path_factory.mktemp("impatient"), worker) as running:
        yield running


@pytest.fixture(autouse=True)
def unharmed(request):
    """Whatever a test has sent: nothing was a bug, and the same worker goes on."""
    yield
    for name in {"patient", "impatient"} & set(request.fixturenames):
        running = request.getfixturevalue(name)
        assert running.request("GET", "/health").status == 200
        lines = running.log_lines()
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


def dropped(running, why):
    """How many connections the worker says it has dropped for a reason."""
    lines = [line for line in running.log_lines() if line["message"] == "connections.dropped"]
    return sum(told["count"] for line in lines for told in line["counts"] if told["name"] == why)


@pytest.mark.parametrize("first", SLOW.values(), ids=SLOW)
def test_slow_clients_keep_nobody_out(patient, first):
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(patient, first)) for _ in range(CROWD)]
        for _ in range(3):
            assert patient.request("GET", "/health").status == 200
            assert push(patient) == 204
            if first and b"HTTP/1.0" not in first:
                for client in slow:
                    client.sendall(b"a")


def drip(client, byte):
    """Sends a byte at a time until it is dropped; answers do not matter."""
    client.settimeout(SLOWNESS_S / 20)
    while True:
        try:
            if not client.recv(100):
                return
        except TimeoutError:
            client.sendall(byte)


@pytest.mark.parametrize("kind", ["silent", "head", "body", "chunks", "unwanted body"])
def test_a_slow_client_is_dropped_however_long_it_goes_on(impatient, kind):
    before = dropped(impatient, "slow")
    with closing(connect(impatient, SLOW[kind])) as client, suppress(BrokenPipeError, ConnectionResetError):
        drip(client, b"" if kind == "silent" else b"a")
    eventually(lambda: dropped(impatient, "slow") > before)


def test_a_slow_body_passes_while_its_bytes_flow(impatient):
    request = raw_push(EVENT.replace(b"}", b',"x":"%s"}' % (b"x" * 200_000)))
    with closing(connect(impatient)) as client:
        started = time.monotonic()
        step = len(request) // 20
        for first in range(0, len(request), step):
            client.sendall(request[first : first + step])
            time.sleep(SLOWNESS_S / 10)
        assert time.monotonic() - started > SLOWNESS_S  # so long that without its bytes it had been dropped
        assert status(client) == 204


def test_more_connections_than_there_is_room_for_keep_nobody_out(tmp_path):
    with writer(tmp_path, "--worker-connections 20") as running, ExitStack() as stack:
        for first in (b"", HEAD, HEALTH, SLOW["never hangs up"]):
            for _ in range(40):
                stack.enter_context(connect(running, first))
            assert running.request("GET", "/health").status == 200
            assert push(running) == 204


def test_slow_clients_do_not_hold_up_the_end(tmp_path):
    with writer(tmp_path) as running, ExitStack() as stack:
        for first in SLOW.values():
            stack.enter_context(connect(running, first))
        assert push(running) == 204
        assert running.terminate() == 0


def test_requests_may_follow_each_other_without_waiting_for_answers(patient):
    with closing(connect(patient, HEALTH + raw_push() + HEALTH[:20])) as client:
        answers = client.makefile("rb")

        def next_status():
            code = int(answers.readline().split()[1])
            fields = dict(line.split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
            answers.read(int(fields.get(b"Content-Length", b"0")))
            return code

        assert [next_status(), next_status()] == [200, 204]
        client.sendall(HEALTH[20:])
        assert next_status() == 200


def test_who_waits_for_100_continue_gets_it(patient):
    head, _, body = raw_push(head=HEAD + b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with closing(connect(patient, head + b"\r\n\r\n")) as client:
        answers = client.makefile("rb")
        assert [answers.readline(), answers.readline()] == CONTINUE
        client.sendall(body)
        line = answers.readline()
        if line == CONTINUE[0]:  # gunicorn says it once more
            assert answers.readline() == CONTINUE[1]
            line = answers.readline()
        assert line.startswith(b"HTTP/1.1 204 ")


def test_a_hundred_attributes_of_full_length_pass_unwrapped(patient):
    attributes = {f"a{n:03}{'n' * 252}": "v" * 1024 for n in range(100)}
    assert push(patient, form=unwrapped, **attributes) == 204


HEADS = {
    "201 fields": (HEAD + b"X: y\r\n" * 200 + b"\r\n", 431),
    "a long field": (HEAD + b"X: %s\r\n\r\n" % (b"y" * 8190), 431),
    "a head without end": (HEAD + (b"X: %s\r\n" % (b"y" * 8000)) * 40, 431),
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
def test_a_bad_head_is_refused(patient, data, expected):
    assert answer(patient, data) == expected


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
def test_broken_chunks_are_400(patient, chunks):
    assert answer(patient, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks) == 400


def test_what_a_client_sends_is_not_in_the_log(patient):
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
        assert answer(patient, data) in {400, 417, 501}
    lines = [line for line in patient.log_lines() if line["message"].startswith("Invalid request")]
    assert len(lines) >= 6
    assert "secret" not in patient.log.read_text("utf-8")
    assert "payload" not in patient.log.read_text("utf-8")
