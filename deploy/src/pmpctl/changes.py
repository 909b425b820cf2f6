"""What a set-up step did, for a person to read, and how long it may take."""

from dataclasses import dataclass
from typing import Final, Literal

from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from requests import ConnectionError as RequestsConnectionError
from requests import Timeout

CALL_TIMEOUT_S: Final = 10.0

# Always passed: without it google-cloud-bigquery repeats a refused connection for 600 s.
RETRY: Final = Retry(
    predicate=if_exception_type(
        exceptions.BadGateway,
        exceptions.DeadlineExceeded,
        exceptions.GatewayTimeout,
        exceptions.InternalServerError,
        exceptions.ServiceUnavailable,
        exceptions.TooManyRequests,
        RequestsConnectionError,
        Timeout,
    ),
    initial=0.2,
    maximum=2.0,
    timeout=20.0,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was made or changed, or that differs and cannot be changed in place."""

    kind: Literal["created", "changed", "differs"]
    what: str

    def __str__(self) -> str:
        return f"{self.kind:8} {self.what}"
