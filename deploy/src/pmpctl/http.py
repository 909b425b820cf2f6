"""HTTP with the services of the topology: who calls, and what they answer."""

from collections.abc import Callable, Generator
from typing import Any

import httpx

from pmpctl.calls import Request
from pmpctl.errors import CommandError, Unreachable


class Identity(httpx.Auth):
    """Says who calls, by a token that is asked for once, and again where it is not accepted any more."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._new = token
        self._token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        self._token = self._token or self._new()
        request.headers["Authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and (renewed := self._new()) != self._token:
            self._token = renewed
            request.headers["Authorization"] = f"Bearer {renewed}"
            yield request


def answer(response: httpx.Response, service: str) -> dict[str, Any]:
    """The JSON of a good answer.

    Raises:
        CommandError: it is not a good one; says what the service said.
    """
    if response.is_success:
        try:
            told = response.json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise CommandError(f"{service} answered what is no JSON object: is {response.url} its address?")
        return told
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text.strip()[:200] or response.reason_phrase
    said = f"{service} answered {response.status_code}: {' '.join(str(message).split())}"
    if response.status_code == httpx.codes.UNAUTHORIZED:
        said += "; a token is good for an hour: export IDENTITY_TOKEN=$(gcloud auth print-identity-token)"
    raise CommandError(said)


def unreachable(request: Request, error: httpx.HTTPError, *, local: bool) -> Unreachable:
    """What to say, and locally what to do, where a service does not answer."""
    said = f"no answer from {request.service} at {request.base_url}: {type(error).__name__}"
    is_down = local and isinstance(error, httpx.ConnectError)
    return Unreachable(f"{said}; `make up` starts the stack" if is_down else said)
