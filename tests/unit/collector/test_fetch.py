"""One GET: conditions, refusals, retries, encodings, redirects. Over real sockets: tests/integration/collector."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
import stamina

from pmp_collector.fetch import USER_AGENT, Fetched, Fetcher, FetchFailed, http_client

URL = "https://feeds.example/station_status.json"
BODY = b'{"data":{"stations":[]}}'
PUBLIC, PRIVATE = ["93.184.216.34"], ["10.0.0.7"]
ATTEMPTS = 3


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS, cap=True):
        yield


def answer(status: int = 200, body: bytes = BODY, **headers: str) -> httpx.Response:
    """A response as from a network: not read, not inflated."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, content=iter([body]))


class Feeds:
    """Gives its answers in turn, the last one for ever; records the requests."""

    def __init__(self, *answers: Callable[[], httpx.Response] | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        given = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(given, Exception):
            raise given
        return given()

    def get(self, url: str = URL, validators=None, *, configured=None, **options) -> Fetched:
        client = httpx.Client(transport=httpx.MockTransport(self), trust_env=False)
        lookup = options.pop("lookup", lambda _: PUBLIC)
        fetcher = Fetcher(
            client, **({"max_body_bytes": 100_000, "attempts": ATTEMPTS, "lookup": lookup} | options)
        )
        return fetcher.get(url, validators, configured=configured)


def inside(host: str) -> list[str]:
    return PRIVATE if host == "metadata.internal" else PUBLIC


def failure(feeds: Feeds, *arguments, **options) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        feeds.get(*arguments, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def test_an_answer_is_its_bytes_and_headers():
    feeds = Feeds(lambda: answer(ETag='"1"', Last_Modified="Tue, 10 Mar 2026 08:00:00 GMT"))
    before = datetime.now(UTC)
    got = feeds.get()
    assert (got.body, got.url) == (BODY, URL)
    assert got.headers["etag"] == '"1"'
    assert got.headers["last-modified"] == "Tue, 10 Mar 2026 08:00:00 GMT"
    assert before <= got.started_at <= got.finished_at <= datetime.now(UTC)


def test_keys_and_credentials_are_sent_and_never_told():
    feeds = Feeds(answer)
    got = feeds.get("https://user:secret@feeds.example/a.json?key=secret#part")
    assert str(feeds.requests[0].url).endswith("?key=secret#part")
    assert feeds.requests[0].headers["authorization"].startswith("Basic ")
    assert got.url == "https://feeds.example/a.json"


def test_the_client_says_who_it_is_and_takes_gzip():
    with http_client(connect_timeout_s=1, read_timeout_s=2) as client:
        assert client.headers["user-agent"] == USER_AGENT
        assert client.headers["accept-encoding"] == "gzip"
        assert client.timeout == httpx.Timeout(2, connect=1, pool=1)


def test_validators_are_sent_and_a_304_has_no_body():
    feeds = Feeds(lambda: answer(304, b""))
    got = feeds.get(validators={"If-None-Match": 'W/"1"', "If-Modified-Since": "yesterday"})
    assert got.body is None
    assert feeds.requests[0].headers["if-none-match"] == 'W/"1"'
    assert feeds.requests[0].headers["if-modified-since"] == "yesterday"


def test_a_304_that_nobody_asked_for_is_a_failure():
    assert failure(Feeds(lambda: answer(304, b""))).status == 304


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_a_compressed_body_is_inflated(encoding):
    feeds = Feeds(lambda: answer(body=gzip.compress(BODY), Content_Encoding=encoding))
    assert feeds.get().body == BODY


ZIPPED = gzip.compress(BODY, mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        *((body, "gzip", "bad_gzip") for body in (ZIPPED[:-9], BODY, b"")),
        (gzip.compress(ZIPPED, mtime=0), "gzip, gzip", "'gzip, gzip' was not requested"),
        (zlib.compress(BODY), "deflate", "'deflate' was not requested"),
        (BODY, "br", "'br' was not requested"),
        (b"x" * 1001, "identity", "larger than 1000 bytes"),
        (gzip.compress(b"x" * 1001, mtime=0), "gzip", "1000 bytes"),
        (gzip.compress(bytes(range(256)) * 8, compresslevel=0), "gzip", "the body is larger than 1000 bytes"),
    ],
)
def test_a_body_that_cannot_be_read_whole_is_a_failure_and_not_retried(body, encoding, message):
    feeds = Feeds(lambda: answer(body=body, Content_Encoding=encoding))
    assert message in str(failure(feeds, max_body_bytes=1000))
    assert len(feeds.requests) == 1


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_body_may_be_as_large_as_the_limit(encoding):
    body = b"x" * 1000
    feeds = Feeds(
        lambda: answer(body=gzip.compress(body) if encoding == "gzip" else body, Content_Encoding=encoding)
    )
    assert feeds.get(max_body_bytes=1000).body == body


@pytest.mark.parametrize(
    ("status", "requests"),
    [
        *((status, 1) for status in (400, 401, 403, 404, 410, 300)),
        *((status, ATTEMPTS) for status in (429, 500, 502, 503)),
    ],
)
def test_only_429_and_5xx_are_retried(status, requests):
    feeds = Feeds(lambda: answer(status))
    error = failure(feeds)
    assert (str(error), error.status, error.retry_after_s) == (f"HTTP {status}", status, None)
    assert len(feeds.requests) == requests


@pytest.mark.parametrize(
    "hiccup",
    [
        lambda: answer(503),
        lambda: answer(429, Retry_After="2"),
        lambda: answer(503, Retry_After="Tue, 10 Mar 2020 08:00:00 GMT"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("timed out"),
        httpx.RemoteProtocolError("peer closed connection"),
        httpx.PoolTimeout("no connection left"),
    ],
)
def test_a_transient_failure_is_retried(hiccup):
    feeds = Feeds(hiccup, answer)
    assert feeds.get().body == BODY
    assert len(feeds.requests) == 2


def test_after_a_long_retry_after_there_is_no_other_request():
    feeds = Feeds(lambda: answer(429, Retry_After="600"))
    error = failure(feeds)
    assert (error.status, error.retry_after_s) == (429, 600.0)
    assert len(feeds.requests) == 1
    at = datetime.now(UTC) + timedelta(hours=1)
    error = failure(Feeds(lambda: answer(503, Retry_After=format_datetime(at, usegmt=True))))
    assert 3500 < error.retry_after_s <= 3600


@pytest.mark.parametrize("value", ["soon", "-1", "", "1.5", "²", "Tue, 99 Foo 2026"])
def test_a_retry_after_that_says_nothing_is_as_none(value):
    feeds = Feeds(
        lambda: httpx.Response(503, headers=[(b"retry-after", value.encode())], content=iter([b""]))
    )
    assert failure(feeds).retry_after_s is None
    assert len(feeds.requests) == ATTEMPTS


def test_five_redirects_are_followed():
    hops = [lambda n=n: answer(302, b"", Location=f"/hop/{n}?key=1") for n in range(5)]
    feeds = Feeds(*hops, answer)
    got = feeds.get(validators={"If-None-Match": '"1"'})
    assert (got.body, got.url) == (BODY, "https://feeds.example/hop/4")
    assert {request.headers["if-none-match"] for request in feeds.requests} == {'"1"'}


def test_a_sixth_redirect_is_a_failure():
    feeds = Feeds(lambda: answer(301, b"", Location=URL))
    assert str(failure(feeds)) == "more than 5 redirects"
    assert len(feeds.requests) == 6


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("http://metadata.internal/latest", "leads to metadata.internal"),
        ("//metadata.internal/latest", "leads to metadata.internal"),
        ("ftp://feeds.example/a", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
    ],
)
def test_a_redirect_to_where_nothing_is_to_be_had_is_not_followed(location, said):
    feeds = Feeds(lambda: answer(302, b"", Location=location))
    assert said in str(failure(feeds, lookup=inside))
    assert len(feeds.requests) == 1


def test_a_discovered_url_inside_is_not_asked():
    feeds = Feeds(answer)
    error = failure(
        feeds,
        "http://metadata.internal/latest",
        configured=URL,
        lookup=inside,
    )
    assert "feeds.example leads to metadata.internal" in str(error)
    assert feeds.requests == []


def test_a_local_stack_may_lead_inside():
    feeds = Feeds(lambda: answer(302, b"", Location="http://10.0.0.8:1/a"), answer)
    assert feeds.get("http://10.0.0.7/a", lookup=lambda _: PRIVATE).body == BODY


@pytest.mark.parametrize(
    "url",
    [
        *("https://[::1", "http://", "https:///gbfs.json", "relative"),
        *("http://a:99999/", "http://a:port/", "http://\x00/"),
    ],
)
def test_an_invalid_url_is_one_line(url):
    failure(Feeds(answer), url, configured=url)
