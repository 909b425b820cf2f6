"""A clock that stands still."""


class Clock:
    """Seconds that pass by sleeping only, or where a test adds some."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
