"""What every HTTP service has: health routes, JSON errors, a body limit, the request's trace in each log line."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from pmp_runtime import logs
from pmp_runtime.http.unread_body import close_if_unread
from pmp_schema.errors import PipelineError, RetryableError

logger = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 5
"""Of a 503, after which the same request may go better."""


def create_service(
    name: str,
    *,
    project: str,
    max_body_bytes: int,
    check_ready: Callable[[], None],
    flush_counts: Callable[[], None] = lambda: None,
) -> Flask:
    """A Flask application with the common routes, which answers 503 to a RetryableError.

    Args:
        name: import name of the service's package.
        project: Google Cloud project id, for the trace field.
        max_body_bytes: a longer request body is answered 413 before it is read.
        check_ready: raises PipelineError while a dependency does not answer.
        flush_counts: publishes what the publisher has counted; called before a response is sent, or at its end if it
            is streamed. An instance may be frozen after a response.
    """
    app = Flask(name, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = max_body_bytes

    @app.get("/health")
    @app.get("/healthz")
    def health() -> ResponseReturnValue:
        return jsonify(status="ok")

    @app.get("/readyz")
    def ready() -> ResponseReturnValue:
        try:
            check_ready()
        except PipelineError as cause:
            return error(503, "not_ready", str(cause))
        return jsonify(status="ok")

    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ParseException, _broken_body)
    app.register_error_handler(RetryableError, unavailable)

    @app.errorhandler(Exception)
    def unexpected(exception: Exception) -> ResponseReturnValue:
        logger.error("request.failed", exc_info=exception, extra={"path": request.path})
        return error(500, "internal", "unexpected error; see the log")

    app.after_request(close_if_unread)

    @app.after_request
    def flush(response: Response) -> Response:
        if response.is_streamed:
            response.call_on_close(flush_counts)
        else:
            flush_counts()
        return response

    @app.before_request
    def bind_trace() -> None:
        g.log_context = _bound_trace(project)
        g.log_context.__enter__()

    @app.teardown_request
    def unbind_trace(_: BaseException | None) -> None:
        if "log_context" in g:
            g.pop("log_context").__exit__(None, None, None)

    return app


def error(status: int, reason: str, message: str, *, retry_after_s: int | None = None) -> Response:
    """The one shape of an error answer."""
    response = jsonify(error={"reason": reason, "message": message})
    response.status_code = status
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def unavailable(cause: RetryableError, done: str = "") -> Response:
    """The answer where a dependency does not answer, with its log line.

    Args:
        done: what was done before; ends the message.
    """
    logger.warning("request.unavailable", extra={"cause": f"{type(cause).__name__}: {cause}"})
    return error(503, "unavailable", f"{cause}{done}", retry_after_s=RETRY_AFTER_S)


def _http_error(exception: HTTPException) -> Response:
    reason = exception.name.lower().replace(" ", "_")
    response = error(exception.code or 500, reason, exception.description or exception.name)
    if isinstance(exception, MethodNotAllowed):
        response.allow.update(exception.valid_methods or ())
    return response


def _broken_body(_: ParseException) -> Response:
    """The chunks of a body make no sense, which gunicorn finds out when it is read."""
    return error(400, "bad_request", "broken chunks")


def read_body() -> bytes:
    """The request's body, all of it.

    Raises:
        RequestEntityTooLarge: above the limit. A chunked body that reaches it is refused as well: werkzeug
            would hand on its beginning as if that were all.
    """
    body = request.get_data(cache=False)
    limit = request.max_content_length
    if request.content_length is None and limit is not None and len(body) >= limit:
        raise RequestEntityTooLarge
    return body


@contextmanager
def _bound_trace(project: str) -> Iterator[None]:
    with logs.bound(**logs.trace_fields(dict(request.headers), project)):
        yield
