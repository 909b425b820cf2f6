"""Where a request ends, held against gunicorn's own parser."""

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from pmp_runtime.http.arrival import Arrival, ArrivalLimits

LIMITS = ArrivalLimits()
HEAD = b"POST /push/x HTTP/1.1\r\nHost: h\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def arrived(*pieces, limits=LIMITS):
    arrival = Arrival(limits, 0.0)
    for second, piece in enumerate(pieces, 1):
        arrival.add(piece, float(second))
    return arrival


def read_by_gunicorn(data):
    """The body, and what the parser leaves."""
    parser = RequestParser(Config(), [data], ("127.0.0.1", 1))
    body = next(parser).body.read()
    return body, parser.unreader.take_buffered()


def in_chunks(parts, line_end=b"\r\n", trailers=b""):
    lines = [b"%x%s%s\r\n" % (len(part), line_end, part) for part in parts if part]
    return b"".join(lines) + b"0" + line_end + trailers + b"\r\n"


bodies = st.binary(max_size=60) | st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b"\r\n0\r\n\r\nGET /"])
names = st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"])


@st.composite
def requests(draw):
    """(the bytes of one request, its body)."""
    fields = draw(
        st.lists(st.sampled_from([b"X: content-length: 7\r\n", b"Y:\r\n", b"Z: \t1 \r\n"]), max_size=3)
    )
    head = HEAD + b"".join(fields)
    body = draw(bodies)
    if not draw(st.booleans()):
        return head + draw(names) + b": %d \r\n\r\n" % len(body) + body, body
    cut = draw(st.integers(0, len(body)))
    line_end = draw(st.sampled_from([b"\r\n", b";a=b\r\n", b" ;a\r\n"]))
    trailers = draw(st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n"]))
    chunks = in_chunks([body[:cut], body[cut:]], line_end, trailers)
    coding = draw(st.sampled_from([b"chunked", b"Chunked", b"identity, chunked"]))
    return head + b"Transfer-Encoding:%s\r\n\r\n" % coding + chunks, body


@given(requests(), st.data())
def test_a_request_is_whole_with_its_last_byte_and_not_before(request_and_body, data):
    request, body = request_and_body
    cuts = sorted(data.draw(st.lists(st.integers(1, len(request) - 1), max_size=4)))
    pieces = [request[a:b] for a, b in zip([0, *cuts], [*cuts, len(request) - 1], strict=True)]
    arrival = arrived(*pieces)
    assert not arrival.is_whole
    arrival.add(request[-1:], 9.0)
    assert arrival.is_whole
    assert read_by_gunicorn(bytes(arrival.received)) == (body, b"")


@given(requests(), st.binary(max_size=40))
def test_what_follows_a_request_does_not_change_where_it_ends(request_and_body, rest):
    request, body = request_and_body
    assert arrived(request + rest).is_whole
    assert read_by_gunicorn(request + rest) == (body, rest)


@given(st.binary(max_size=200))
def test_gunicorn_misses_nothing_in_what_counts_as_whole(noise):
    for data in (noise, HEAD + noise + b"\r\n\r\n", CHUNKED + noise):
        if arrived(data).is_whole:
            try:
                read_by_gunicorn(data)
            except ParseException:
                pass
            except NoMoreData as error:
                raise AssertionError("a thread would have waited") from error


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"rubbish\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1e3\r\n\r\n",
        HEAD + b"Content-Length: %s\r\n\r\n" % (b"9" * 5000),
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"z\r\n",
        CHUNKED + b"1\r\nab\r\n",
    ],
)
def test_what_cannot_be_framed_is_whole_and_refused(data):
    assert arrived(data).is_whole
    with pytest.raises(ParseException):
        read_by_gunicorn(data)


def test_a_body_that_is_too_long_is_not_waited_for():
    assert arrived(HEAD + b"Content-Length: %d\r\n\r\n" % (LIMITS.request_bytes + 1)).is_whole


@pytest.mark.parametrize("beginning", [b"", HEAD, HEAD + b"X: "])
def test_a_head_without_end_is_too_large(beginning):
    arrival = arrived(beginning, b"x" * LIMITS.head_bytes)
    assert not arrived(beginning).is_whole
    arrival.add(b"x", 3.0)
    assert (arrival.is_whole, arrival.is_head_too_large) == (True, True)


@pytest.mark.parametrize(
    "more", [b"%x\r\n" % 2**40 + bytes(LIMITS.request_bytes), b"1" * 9000, b"0\r\n" + b"x" * 300_000]
)
def test_chunks_without_end_are_too_large(more):
    assert not arrived(CHUNKED).is_whole
    assert arrived(CHUNKED, more).is_whole


def test_who_awaits_to_continue_is_known_from_the_head():
    head = HEAD + b"Content-Length: 3\r\nExpect: 100-Continue\r\n"
    assert not arrived(head).awaits_continue
    assert arrived(head, b"\r\n").awaits_continue
    assert not arrived(HEAD + b"Content-Length: 3\r\n\r\n").awaits_continue


def test_it_is_known_how_much_is_missing():
    assert arrived(HEAD).missing_bytes == 0
    assert arrived(HEAD + b"Content-Length: 30\r\n\r\nabc").missing_bytes == 27
    assert arrived(CHUNKED + b"1e\r\nabc").missing_bytes == 29
    assert arrived(HEAD + b"Content-Length: 3\r\n\r\nabcdef").missing_bytes == 0


def test_a_client_may_be_silent_or_slow_for_a_while_and_earns_time_with_bytes():
    limits = ArrivalLimits(silence_s=10, slowness_s=30, bytes_per_s=100)
    assert arrived(limits=limits).deadline_s == 10
    assert arrived(b"x", limits=limits).deadline_s == 11
    assert arrived(*[b"x"] * 28, limits=limits).deadline_s == pytest.approx(30.28)
    assert arrived(*[b"x" * 100] * 28, limits=limits).deadline_s == 38


def test_a_slow_but_honest_link_passes_and_a_drip_does_not():
    def passes(bytes_per_s, size):
        arrival = Arrival(LIMITS, 0.0)
        for second in range(1, size // bytes_per_s + 1):
            if second > arrival.deadline_s:
                return False
            arrival.add(bytes(bytes_per_s), float(second))
        return True

    assert passes(20 * 1024, 14 * 1024 * 1024)
    assert not passes(1, 1000)
    assert not passes(8 * 1024, 14 * 1024 * 1024)
