"""The real client against a loopback server that misbehaves on the wire."""

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
import stamina

from pmp_collector.fetch import Fetcher, FetchFailed, http_client
from tests.fakes.feeds import FeedServer, closed_port, feed_server, send

ATTEMPTS = 2


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with feed_server() as running, stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        yield running


def fetcher(*, read_timeout_s: float = 20, **options) -> Fetcher:
    client = http_client(connect_timeout_s=20, read_timeout_s=read_timeout_s)
    return Fetcher(client, **({"max_body_bytes": 2_000_000, "attempts": ATTEMPTS} | options))


def failure(url: str, **options) -> str:
    with pytest.raises(FetchFailed) as caught:
        fetcher(**options).get(url)
    return str(caught.value)


def hang(handler):
    """Never answers."""


def stop_half_way(handler):
    send(handler, 200, b"half", {"content_length": "100"})


def cut_off(handler):
    send(handler, 200, b"half", {"content_length": "100"})
    handler.close_connection = True


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (hang, "ReadTimeout: timed out"),
        (stop_half_way, "ReadTimeout: timed out"),
        (cut_off, "RemoteProtocolError: peer closed connection"),
    ],
)
def test_an_answer_without_an_end_in_time_is_retried_and_then_a_failure(server, answer, message):
    def route(handler):
        answer(handler)
        if not handler.close_connection:
            server.released.wait(20)

    server.routes["/"] = route
    assert failure(server.url + "/", read_timeout_s=0.2).startswith(message)
    assert len(server.asked) == ATTEMPTS


def test_a_refused_connection_is_one_line():
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        assert failure(f"http://127.0.0.1:{closed_port()}/") == "ConnectError: [Errno 111] Connection refused"


def test_a_body_that_drips_for_ever_is_given_up(server):
    def drip(handler):
        send(handler, 200, b"", {"content_length": "1000000"})
        while not server.released.wait(0.05):
            handler.wfile.write(b" ")

    server.routes["/"] = drip
    assert failure(server.url + "/", longest_body_s=0.2) == "the body did not end within 0.2 s"
    assert len(server.asked) == 1


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_host_that_cannot_be_looked_up_is_one_line(host):
    assert failure(f"http://{host}/").startswith("invalid URL: ")


def gzip_bomb(megabytes: int) -> bytes:
    """Zeros, a thousandth of their size; without the end, which nobody should reach."""
    deflate = zlib.compressobj(9, wbits=31)
    first = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    other = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return first + other * (megabytes - 1)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gzip_bomb_of_a_gigabyte_is_stopped_at_the_limit(server, layers):
    bomb = gzip_bomb(1024)
    if layers == 2:
        bomb = gzip.compress(bomb)
    url = server.serve("/", bomb, content_encoding=", ".join(["gzip"] * layers))
    limit = 2_000_000
    client = fetcher(max_body_bytes=limit)
    tracemalloc.start()
    try:
        with pytest.raises(FetchFailed) as caught:
            client.get(url)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (
        str(caught.value)
        == {
            1: f"too_large: more than {limit} bytes after gunzip",
            2: "content-encoding 'gzip, gzip' was not requested",
        }[layers]
    )
    # The compressed body twice (chunks and their whole), the inflated one twice, a megabyte of everything else.
    assert peak < 2 * len(bomb) + 2 * limit + 1_000_000


def test_a_body_without_an_end_is_cut_at_the_limit(server):
    def endless(handler):
        handler.close_connection = True
        handler.send_response(200)
        handler.end_headers()
        while not server.released.is_set():
            handler.wfile.write(b"x" * 65536)

    server.routes["/"] = endless
    assert failure(server.url + "/", max_body_bytes=1_000_000) == "the body is larger than 1000000 bytes"


def test_waits_between_attempts_are_real_where_nothing_is_a_test(server):
    url = server.serve("/", b"", 503)
    before = time.monotonic()
    with stamina.set_testing(False), pytest.raises(FetchFailed, match="HTTP 503"):
        fetcher().get(url)
    assert len(server.asked) == ATTEMPTS
    assert time.monotonic() - before >= 0.2  # the shortest first wait; jitter only adds
