"""HTTP with the services of the topology: identity, responses and failures."""

from collections.abc import Callable, Generator
from typing import Any

import httpx

from pmpctl.calls import Request
from pmpctl.errors import CommandError, Unreachable


class Identity(httpx.Auth):
    """Sends an identity token; asks for another one when it is refused."""

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
    """The JSON object of a response.

    Raises:
        CommandError: the service refused or failed; the message has the service's own.
    """
    if response.is_success:
        try:
            found = response.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise CommandError(f"{service} did not answer with a JSON object: is {response.url} its address?")
        return found
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text.strip()[:200] or response.reason_phrase
    said = f"{service} answered {response.status_code}: {' '.join(str(message).split())}"
    if response.status_code == httpx.codes.UNAUTHORIZED:
        said += "; a token is good for an hour: export IDENTITY_TOKEN=$(gcloud auth print-identity-token)"
    raise CommandError(said)


def unreachable(request: Request, error: httpx.HTTPError, *, local: bool) -> Unreachable:
    """The error for a service that does not answer."""
    said = f"no answer from {request.service} at {request.base_url}: {type(error).__name__}"
    is_down = local and isinstance(error, httpx.ConnectError)
    return Unreachable(f"{said}; `make up` starts the stack" if is_down else said)
