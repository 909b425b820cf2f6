"""What a proxy does to a request, told by the test: a script for the next ones, a rule for the others, an outage."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Request = TypeVar("Request")


@dataclass(frozen=True)
class Refuse:
    """Never forwarded: UNAVAILABLE, or the HTTP status, or with 0 a connection closed without an answer."""

    status: int = 0


@dataclass(frozen=True)
class Delay:
    """Forwarded after this many seconds."""

    seconds: float


@dataclass(frozen=True)
class LoseAnswer:
    """Forwarded, and its answer dropped: UNAVAILABLE, or a closed connection."""


@dataclass(frozen=True)
class Twice:
    """Forwarded twice, one after the other; the second answer is given."""


@dataclass(frozen=True)
class FewerIds:
    """A publish is forwarded whole; its answer lacks the last ids."""

    count: int = 1


@dataclass(frozen=True)
class Hold:
    """Kept until `release`, then forwarded; later requests overtake it."""


Fault = Refuse | Delay | LoseAnswer | Twice | FewerIds | Hold


@dataclass
class Script(Generic[Request]):
    """Which fault a request gets.

    Attributes:
        next: faults for the next requests, one each; None lets one through.
        rule: asked once the script is empty.
        done: how many requests got which kind of fault, by the name of its class; `Through` without one.
    """

    next: deque[Fault | None] = field(default_factory=deque)
    rule: Callable[[Request], Fault | None] = lambda request: None
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._outage: Refuse | None = None
        self._held: deque[object] = deque()
        self._closed = False

    def take(self, request: Request) -> Fault | None:
        with self._changed:
            fault: Fault | None = self._outage
            if fault is None:
                fault = self.next.popleft() if self.next else self.rule(request)
            self.done[type(fault).__name__ if fault is not None else "Through"] += 1
            return fault

    @contextmanager
    def outage(self, refusal: Refuse = Refuse()) -> Iterator[None]:
        """Refuses every request until the end of the block; the script waits."""
        with self._changed:
            self._outage = refusal
        try:
            yield
        finally:
            with self._changed:
                self._outage = None

    def wait(self, fault: Fault | None) -> bool:
        """Passes the time of a delay or hold; returns whether the request goes on, not so at the proxy's end."""
        if isinstance(fault, Delay):
            with self._changed:
                return not self._changed.wait_for(lambda: self._closed, fault.seconds)
        return self._hold() if isinstance(fault, Hold) else True

    def await_held(self, count: int, timeout_s: float = 10) -> None:
        """Returns as soon as so many requests are held.

        Raises:
            TimeoutError: they are not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._held) >= count, timeout_s):
                raise TimeoutError(f"{len(self._held)} of {count} requests are held")

    def release(self, count: int | None = None, *, newest_first: bool = False) -> int:
        """Lets held requests go on, all of them or so many; returns how many they were."""
        with self._changed:
            released = len(self._held) if count is None else min(count, len(self._held))
            for _ in range(released):
                _ = self._held.pop() if newest_first else self._held.popleft()
            self._changed.notify_all()
            return released

    def close(self) -> None:
        """Ends every delay and hold, for good; their requests are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _hold(self) -> bool:
        ticket = object()
        with self._changed:
            self._held.append(ticket)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or ticket not in self._held)
            return not self._closed
