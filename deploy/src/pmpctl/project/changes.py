"""Changes to a project: planned one by one, made, reported; and the time limits of calls."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from pmp_runtime.retry import retrying

CALL_TIMEOUT_S: Final = 10.0

# Always passed: without it google-cloud-bigquery retries a refused connection for 600 s.
RETRY: Final = retrying(20.0)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is missing, or differs from the schema.

    Attributes:
        act: makes the change; None if it cannot be made in place.
        shown: whether to print it; false for writes that the emulator cannot confirm.
    """

    kind: Literal["created", "changed", "differs"]
    what: str
    act: Callable[[], object] | None = field(default=None, compare=False)
    shown: bool = True

    def __str__(self) -> str:
        return f"{self.kind:8} {self.what}"


def make(planned: Iterable[Change], *, dry_run: bool) -> tuple[Change, ...]:
    """Makes each change before the next one is planned, which may depend on it; a dry run makes none.

    Returns:
        The changes to print.
    """
    found = []
    for change in planned:
        if change.act is not None and not dry_run:
            change.act()
        if change.shown:
            found.append(change)
    return tuple(found)
