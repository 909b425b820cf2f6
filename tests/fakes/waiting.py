"""Waiting for what another thread or process does: tests do not know when it will have happened, only that it will."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    check: Callable[[], T], timeout_s: float = 60, *, every_s: float = 0.1, what: str = "a true value"
) -> T:
    """The first true value of a check; fails with its last one where none comes in time."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := check()):
        assert time.monotonic() < deadline_s, f"{what}: still {value!r} after {timeout_s} s"
        time.sleep(every_s)
    return value
