"""What is retried: one list of transient failures of Google's APIs, and one way to call again after them."""

from collections.abc import Callable
from typing import Final

from google.api_core import exceptions, retry
from requests import RequestException

TRANSIENT: Final = (
    exceptions.Aborted,
    exceptions.BadGateway,
    exceptions.Cancelled,
    exceptions.GatewayTimeout,  # and DeadlineExceeded
    exceptions.InternalServerError,
    exceptions.ServiceUnavailable,
    exceptions.TooManyRequests,  # and ResourceExhausted
    exceptions.Unknown,
    RequestException,
)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    return isinstance(error, TRANSIENT)


def retrying(
    timeout_s: float,
    predicate: Callable[[Exception], bool] = is_transient,
    *,
    longest_pause_s: float = 2.0,
    on_error: Callable[[Exception], None] | None = None,
) -> retry.Retry:
    """Retries with random, growing pauses. Pass it to every idempotent call of Google's clients: their own defaults
    retry for up to ten minutes. A call that starts something is never retried.

    Args:
        timeout_s: seconds after which `google.api_core.exceptions.RetryError` is raised.
        predicate: which errors are retried.
        on_error: called before each pause.
    """
    return retry.Retry(
        predicate=predicate, initial=0.2, maximum=longest_pause_s, timeout=timeout_s, on_error=on_error
    )
