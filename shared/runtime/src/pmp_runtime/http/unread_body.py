"""Ends a connection whose request body was not read to its end, so that no byte of it is taken for a request.

gunicorn ignores the `Connection` header of an application (PEP 3333); its request object can be asked to close.
`gunicorn_settings` calls `begin` for every request.
"""

from contextvars import ContextVar
from typing import Any, Final

from flask import Response, request

_SERVER_REQUEST: Final[ContextVar[Any]] = ContextVar("server_request", default=None)


def begin(server_request: Any) -> None:
    """Remembers gunicorn's object of the request that this thread works on."""
    _SERVER_REQUEST.set(server_request)


def close_if_unread(response: Response) -> Response:
    """A Flask `after_request` function; the client is sent `Connection: close`."""
    has_body = bool(request.content_length) or "Transfer-Encoding" in request.headers
    is_unread = "stream" not in vars(request)  # werkzeug caches the stream when it is first asked for
    server_request = _SERVER_REQUEST.get()
    if server_request is not None and has_body and (is_unread or response.status_code in {400, 413}):
        server_request.force_close()
    return response
