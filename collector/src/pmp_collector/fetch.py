"""Fetches a feed by HTTP GET: conditional, and bounded in time, size, attempts and reachable hosts.

stamina retries here and not `pmp_runtime.retry`, because a server may say in `Retry-After` how long to wait.
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Final

import httpx
import stamina

from pmp_collector import allowed_urls
from pmp_schema.errors import PoisonMessage
from pmp_schema.events import gunzip

USER_AGENT: Final = f"mobility-pulse-collector/{version('pmp-collector')}"
MAX_REDIRECTS: Final = 5
LONGEST_RETRIES_S: Final = 45.0
LONGEST_RETRY_AFTER_S: Final = 10.0
LONGEST_BODY_S: Final = 30.0


class FetchFailed(Exception):
    """The feed cannot be fetched now; the message is one line for a person.

    Attributes:
        status: HTTP status of the last response, None without one.
        retry_after_s: the server's Retry-After, None without one.
    """

    def __init__(
        self, message: str, status: int | None = None, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class _Refused(FetchFailed):
    """429 or 5xx: the only responses that are worth another attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Attributes:
    url: final URL, after redirects, without credentials and query (which may contain a key).
    body: None if the feed has not changed (304).
    headers: names in lower case.
    """

    url: str
    body: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    started_at: datetime
    finished_at: datetime


class Fetcher:
    """Fetches feeds over one connection pool.

    Bodies are inflated here and not by httpx: httpx inflates every chunk at once, through as many layers as the
    response declares, so 64 kB become 66 MB in one layer and 68 GB in two. Here a body needs at most three times
    `max_body_bytes`: compressed, inflated, and once more while zlib joins its blocks.

    Args:
        client: with time-outs; see `http_client`.
        max_body_bytes: limit of the body, compressed and inflated.
        attempts: maximum requests per call, without redirects.
        longest_body_s: seconds for one body to arrive, even if it arrives steadily.
        lookup: returns the addresses of a host.
    """

    def __init__(
        self,
        client: httpx.Client,
        *,
        max_body_bytes: int,
        attempts: int,
        longest_body_s: float = LONGEST_BODY_S,
        lookup: allowed_urls.Lookup = allowed_urls.addresses,
    ) -> None:
        self._client = client
        self._max_body_bytes = max_body_bytes
        self._attempts = attempts
        self._longest_body_s = longest_body_s
        self._lookup = lookup

    def get(
        self, url: str, validators: Mapping[str, str] | None = None, *, configured: str | None = None
    ) -> Fetched:
        """Fetches one feed; transient failures are retried with jitter.

        Args:
            validators: If-None-Match and If-Modified-Since from the last response.
            configured: the URL in the feeds file that led to `url`, if it is another one.

        Raises:
            FetchFailed: no response, a status other than 200 and 304, a body that is incomplete or too large, or
                a URL that must not be fetched.
        """
        try:
            for attempt in stamina.retry_context(
                on=_should_retry,
                attempts=self._attempts,
                timeout=LONGEST_RETRIES_S,
                wait_initial=0.2,
                wait_max=3.0,
            ):
                with attempt:
                    return self._follow(httpx.URL(url), validators or {}, httpx.URL(configured or url))
        except httpx.HTTPError as error:
            raise FetchFailed(f"{type(error).__name__}: {error}") from error
        except (httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: an invalid label
            raise FetchFailed(f"invalid URL: {error}") from error
        except allowed_urls.UrlRefused as error:
            raise FetchFailed(str(error)) from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _follow(self, url: httpx.URL, validators: Mapping[str, str], configured: httpx.URL) -> Fetched:
        started_at = datetime.now(UTC)
        for _ in range(1 + MAX_REDIRECTS):
            allowed_urls.check(url, configured=configured, lookup=self._lookup)
            with self._client.stream(
                "GET", url, headers=dict(validators), follow_redirects=False
            ) as response:
                if response.next_request is None:
                    return self._fetched(response, started_at, conditional=bool(validators))
                url = response.next_request.url
        raise FetchFailed(f"more than {MAX_REDIRECTS} redirects", response.status_code)

    def _fetched(self, response: httpx.Response, started_at: datetime, *, conditional: bool) -> Fetched:
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise _Refused(f"HTTP {status}", status, retry_after_s=_retry_after_s(response))
        # A 304 without a condition comes from a broken cache: the feed is unknown, not unchanged.
        unchanged = conditional and status == httpx.codes.NOT_MODIFIED
        if not unchanged and status != httpx.codes.OK:
            raise FetchFailed(f"HTTP {status}", status)
        return Fetched(
            url=str(response.url.copy_with(query=None, fragment=None, userinfo=b"")),
            body=None if unchanged else self._body(response),
            headers={name.lower(): value for name, value in response.headers.items()},
            started_at=started_at,
            finished_at=datetime.now(UTC),
        )

    def _body(self, response: httpx.Response) -> bytes:
        raw = self._read(response)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding in {"identity", ""}:
            return raw
        if encoding not in {"gzip", "x-gzip"}:
            raise FetchFailed(f"content-encoding {encoding!r:.40} was not requested", response.status_code)
        try:
            return gunzip(raw, self._max_body_bytes)
        except PoisonMessage as error:
            raise FetchFailed(str(error), response.status_code) from error

    def _read(self, response: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        ends_at = time.monotonic() + self._longest_body_s
        for chunk in response.iter_raw():
            size += len(chunk)
            if size > self._max_body_bytes:
                raise FetchFailed(
                    f"the body is larger than {self._max_body_bytes} bytes", response.status_code
                )
            if time.monotonic() > ends_at:
                raise FetchFailed(
                    f"the body did not end within {self._longest_body_s:g} s", response.status_code
                )
            chunks.append(chunk)
        return b"".join(chunks)


def http_client(*, connect_timeout_s: float, read_timeout_s: float) -> httpx.Client:
    """A pooled client with HTTP/2, gzip and our User-Agent."""
    return httpx.Client(
        http2=True,
        timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s, pool=connect_timeout_s),
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=90.0),
        headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"},
    )


def _should_retry(error: Exception) -> bool | float:
    if isinstance(error, _Refused):
        if error.retry_after_s is None:
            return True
        wait_s = error.retry_after_s + random.uniform(0, 1)  # noqa: S311 - jitter
        return wait_s if error.retry_after_s <= LONGEST_RETRY_AFTER_S else False
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def _retry_after_s(response: httpx.Response) -> float | None:
    """Retry-After in seconds; the header is a number or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value[:10])
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
