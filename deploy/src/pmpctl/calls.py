"""What a command is about to do, as data: planned first, then told or carried out."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from pmpctl.errors import CommandError

CALL_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a Google API that changes something.

    Attributes:
        api: key of the client, for example `scheduler`.
        method: of the client, for example `resume_job`.
        request: as the client takes it.
        repeatable: twice does what once does, so that a lost answer may be asked for again.
    """

    api: str
    method: str
    request: Mapping[str, Any]
    repeatable: bool = True

    def __str__(self) -> str:
        fields = (f"{name}={_compact(value)}" for name, value in self.request.items())
        return " ".join([f"{self.api}.{self.method}", *fields])


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to a service of the topology.

    Attributes:
        service: its key.
        base_url: where it listens, without a path.
        timeout_s: seconds without a byte of the answer.
    """

    service: str
    base_url: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    timeout_s: float = CALL_TIMEOUT_S

    def __str__(self) -> str:
        query = f"?{urlencode(self.query)}" if self.query else ""
        line = f"{self.method} {self.base_url}{self.path}{query}"
        return line if self.body is None else f"{line} {_compact(self.body)}"


Step = Call | Request


def carry_out(
    steps: Iterable[Step],
    perform: Callable[[Step], Any],
    *,
    dry_run: bool,
    go_on: bool,
    tell: Callable[[str], None],
) -> None:
    """Tells every step and performs it, one after the other; a dry run only tells.

    Args:
        go_on: a step that fails does not keep the later ones from being tried.

    Raises:
        CommandError: what failed.
    """
    failures = []
    for step in steps:
        tell(str(step))
        if dry_run:
            continue
        try:
            perform(step)
        except CommandError as error:
            failures.append(str(error))
            if not go_on:
                break
    if failures:
        raise CommandError("; ".join(failures))


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
