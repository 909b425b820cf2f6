"""What a command is about to do, as data, so that a dry run can print it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

CALL_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a Google API that changes something.

    Attributes:
        api: key of the client, for example `scheduler`.
        method: of the client, for example `resume_job`.
        request: the arguments of the method.
        repeatable: the call is idempotent, and may be repeated if its response is lost.
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
        timeout_s: seconds without a byte of the response.
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


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
