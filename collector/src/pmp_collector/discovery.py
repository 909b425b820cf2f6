"""Finds the URLs of a system's feeds: from the feeds file, or from the system's gbfs.json."""

import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from pmp_collector.config import System
from pmp_collector.fetch import Fetched, FetchFailed
from pmp_schema import gbfs
from pmp_schema.errors import PoisonMessage

logger = logging.getLogger(__name__)

MAX_AGE_S: Final = 3600.0


class Get(Protocol):
    """See `Fetcher.get`."""

    def __call__(
        self, url: str, validators: Mapping[str, str] | None = None, *, configured: str | None = None
    ) -> Fetched: ...


class Discovery:
    """The feed URLs of one system; gbfs.json is read again after an hour.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, system: System, get: Get, clock: Callable[[], float]) -> None:
        self._system = system
        self._get = get
        self._clock = clock
        self._urls: dict[str, str] = {}
        self._stale_at = float("-inf")

    def configured(self, feed: str) -> str | None:
        """The URL in the feeds file that leads to a feed."""
        return self._system.explicit_url(feed) or self._system.discovery_url

    def url(self, feed: str) -> str:
        """The URL of a feed.

        Raises:
            FetchFailed: gbfs.json cannot be fetched or read, or does not list the feed.
        """
        explicit = self._system.explicit_url(feed)
        if explicit:
            return explicit
        if self._clock() >= self._stale_at:
            self._refresh()
        if feed not in self._urls:
            self._stale_at = float("-inf")
            raise FetchFailed(f"discovery: {feed} is not listed")
        return self._urls[feed]

    def url_after(self, gone: str, feed: str) -> str | None:
        """The new URL of a feed whose URL is gone; None if gbfs.json still lists the old one.

        Raises:
            FetchFailed: see `url`.
        """
        if self._system.explicit_url(feed):
            return None
        self._read()
        url = self.url(feed)
        return None if url == gone else url

    def _refresh(self) -> None:
        try:
            self._read()
        except FetchFailed as error:
            if not self._urls:
                raise
            # Keep the known URLs: if a feed has moved, its 404 triggers another look.
            self._stale_at = self._clock() + MAX_AGE_S
            logger.warning("discovery.failed", extra={"system": self._system.id, "cause": str(error)})

    def _read(self) -> None:
        if self._system.discovery_url is None:
            raise FetchFailed("discovery_url is not set")
        try:
            fetched = self._get(self._system.discovery_url)
            urls = gbfs.feed_urls(gbfs.decode(fetched.body or b""), language=self._system.language)
        except FetchFailed as error:
            raise FetchFailed(
                f"discovery: {error}", error.status, retry_after_s=error.retry_after_s
            ) from error
        except PoisonMessage as error:
            raise FetchFailed(f"discovery: {error}") from error
        self._urls = urls
        self._stale_at = self._clock() + MAX_AGE_S
