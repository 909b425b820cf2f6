"""HTTP GET of a feed: conditional, bounded in time, size and attempts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

import httpx
import stamina

USER_AGENT: Final = f"mobility-pulse-collector/{version('pmp-collector')}"
LONGEST_RETRY_AFTER_S: Final = 10.0


class FetchFailed(Exception):
    """The feed cannot be had now; the message is one line for a person.

    Attributes:
        status: HTTP status of the last answer, None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An answer.

    Attributes:
        url: final URL, after redirects, without its query (which may hold a key).
        body: None where the feed has not changed since the validators were given (304).
        headers: names in lower case.
    """

    url: str
    status: int
    body: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    started_at: datetime
    finished_at: datetime


class _TryAgain(Exception):
    def __init__(self, status: int, wait_s: float | None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.wait_s = wait_s


class Fetcher:
    """Fetches feeds over one pool of connections.

    Args:
        client: with time-outs set; see `http_client`.
        max_body_bytes: bound of the inflated body.
        attempts: requests per call at most.
    """

    def __init__(self, client: httpx.Client, *, max_body_bytes: int, attempts: int) -> None:
        self._client = client
        self._max_body_bytes = max_body_bytes
        self._attempts = attempts

    def get(self, url: str, validators: Mapping[str, str] | None = None) -> Fetched:
        """One feed, after retries with jitter where they may help.

        Args:
            validators: If-None-Match and If-Modified-Since of the last answer.

        Raises:
            FetchFailed: no answer, an answer that is neither 200 nor 304, or a body above the limit.
        """
        try:
            for attempt in stamina.retry_context(
                on=_should_retry, attempts=self._attempts, timeout=45.0, wait_initial=0.2, wait_max=3.0
            ):
                with attempt:
                    return self._get_once(url, validators or {})
        except _TryAgain as error:
            raise FetchFailed(f"HTTP {error.status}", error.status) from error
        except httpx.HTTPError as error:
            raise FetchFailed(f"{type(error).__name__}: {error}") from error
        except httpx.InvalidURL as error:
            raise FetchFailed(f"invalid URL: {error}") from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _get_once(self, url: str, validators: Mapping[str, str]) -> Fetched:
        started_at = datetime.now(UTC)
        with self._client.stream("GET", url, headers=dict(validators)) as response:
            if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
                raise _TryAgain(response.status_code, _retry_after_s(response))
            if response.status_code not in (httpx.codes.OK, httpx.codes.NOT_MODIFIED):
                raise FetchFailed(f"HTTP {response.status_code}", response.status_code)
            unchanged = response.status_code == httpx.codes.NOT_MODIFIED
            body = None if unchanged else self._read(response)
            return Fetched(
                url=str(response.url.copy_with(query=None)),
                status=response.status_code,
                body=body,
                headers={name.lower(): value for name, value in response.headers.items()},
                started_at=started_at,
                finished_at=datetime.now(UTC),
            )

    def _read(self, response: httpx.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self._max_body_bytes:
                raise FetchFailed(f"body above {self._max_body_bytes} bytes", response.status_code)
            chunks.append(chunk)
        return b"".join(chunks)


def http_client(*, connect_timeout_s: float, read_timeout_s: float) -> httpx.Client:
    """A pooled client: HTTP/2 where offered, gzip, own User-Agent, at most five redirects."""
    return httpx.Client(
        http2=True,
        timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s, pool=connect_timeout_s),
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=90.0),
        headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"},
        follow_redirects=True,
        max_redirects=5,
    )


def _should_retry(error: Exception) -> bool | float:
    if isinstance(error, _TryAgain):
        if error.wait_s is None:
            return True
        return error.wait_s if error.wait_s <= LONGEST_RETRY_AFTER_S else False
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def _retry_after_s(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
