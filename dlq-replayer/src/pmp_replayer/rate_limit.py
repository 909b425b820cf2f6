"""A token bucket that starts empty: n dead letters take n / rate seconds, the first one included."""

from collections.abc import Callable, Iterator
from typing import Final

CATCH_UP_S: Final = 1.0  # time lost to a slow publish is made up for; a long pause does not cause a burst
LONGEST_SLEEP_S: Final = 1.0


class RateLimit:
    """Args:
    rate_per_s: tokens per second, above 0.
    monotonic: clock, seconds.
    """

    def __init__(
        self, rate_per_s: float, *, monotonic: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._rate_per_s = rate_per_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._paid_until = monotonic()

    def take(self, tokens: int) -> Iterator[None]:
        """Waits until the tokens are available; yields about once a second while it waits."""
        self._paid_until = max(self._paid_until, self._monotonic() - CATCH_UP_S) + tokens / self._rate_per_s
        while (left_s := self._paid_until - self._monotonic()) > 0:
            self._sleep(min(left_s, LONGEST_SLEEP_S))
            yield
