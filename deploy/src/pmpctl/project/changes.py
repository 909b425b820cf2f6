"""Steps of setting a project up: planned one after the other, made, told; and how long a call may take."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from pmp_runtime.retry import retrying

CALL_TIMEOUT_S: Final = 10.0

# Always passed: without it google-cloud-bigquery retries a refused connection for 600 s.
RETRY: Final = retrying(20.0)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to be made or changed, or that differs and cannot be changed in place.

    Attributes:
        act: does it; None where only a person can.
        told: whether a person hears of it; not where it only repeats what cannot be seen.
    """

    kind: Literal["created", "changed", "differs"]
    what: str
    act: Callable[[], object] | None = field(default=None, compare=False)
    told: bool = True

    def __str__(self) -> str:
        return f"{self.kind:8} {self.what}"


def make(planned: Iterable[Change], *, dry_run: bool) -> tuple[Change, ...]:
    """Makes each change before the next one is planned, because that may look for it; a dry run makes none.

    Returns:
        Those that a person hears of.
    """
    found = []
    for change in planned:
        if change.act is not None and not dry_run:
            change.act()
        if change.told:
            found.append(change)
    return tuple(found)
