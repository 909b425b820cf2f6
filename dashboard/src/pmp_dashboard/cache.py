"""A bounded single-flight cache with a time to live."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


class CacheFull(Exception):
    """All entries are fresh or being loaded; nothing was loaded."""


@dataclass(slots=True)
class _Entry(Generic[T]):
    """Attributes:
    until_s: monotonic time at which the entry expires; None while it is being loaded.
    """

    future: "Future[T]" = field(default_factory=Future)
    until_s: float | None = None

    def is_expired(self, now_s: float) -> bool:
        return self.until_s is not None and self.until_s <= now_s


class Cache(Generic[T]):
    """Fresh entries are never evicted, so no client can make another client's entry load twice.

    Args:
        room: maximum number of entries that are fresh or being loaded.
        monotonic: clock, seconds.
    """

    def __init__(self, *, room: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._room = room
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry[T]] = {}

    def get(self, key: Hashable, ttl_s: float, load: Callable[[], T]) -> T:
        """The cached value, or a new one; concurrent callers wait for the same load.

        Args:
            ttl_s: lifetime of a new value, in seconds from the end of its load.
            load: must be bounded in time. Its exception goes to all waiting callers and is not cached.

        Raises:
            CacheFull: there is no room for another entry.
        """
        with self._lock:
            now_s = self._monotonic()
            entry = self._entries.get(key)
            is_mine = entry is None or entry.is_expired(now_s)
            if entry is None or is_mine:
                self._make_room(now_s)
                entry = self._entries[key] = _Entry()
        if is_mine:
            self._load(key, entry, ttl_s, load)
        return entry.future.result()

    def _make_room(self, now_s: float) -> None:
        self._entries = {key: entry for key, entry in self._entries.items() if not entry.is_expired(now_s)}
        if len(self._entries) >= self._room:
            raise CacheFull(f"all {self._room} entries of the cache are in use; try again later")

    def _load(self, key: Hashable, entry: _Entry[T], ttl_s: float, load: Callable[[], T]) -> None:
        try:
            value = load()
        except BaseException as failure:
            with self._lock:
                del self._entries[key]
            entry.future.set_exception(failure)
            raise
        entry.until_s = self._monotonic() + ttl_s
        entry.future.set_result(value)
