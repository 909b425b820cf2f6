"""The writer's HTTP edge: push routes, and the decision between 204, 400, 401, 403 and 503."""

import logging
import time
from collections.abc import Callable
from threading import BoundedSemaphore

from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from pmp_runtime import logs
from pmp_runtime.http.service import RETRY_AFTER_S, create_service, error, read_body
from pmp_runtime.pubsub import push
from pmp_schema import message_rows as rows
from pmp_schema.errors import MalformedPush, RetryableError
from pmp_schema.message import Message
from pmp_writer.auth import Forbidden, TokenVerifier, Unauthenticated
from pmp_writer.handler import Handler

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 14 * 1024 * 1024  # a message of 10 MB in base64 fits
REFUSALS_S = 1.0  # between two log lines: a line each would be part of the overload
LOGGED_ID_CHARS = 64  # Pub/Sub's own ids are shorter


def create_app(
    handler: Handler,
    verifier: TokenVerifier,
    *,
    project: str,
    check_ready: Callable[[], None],
    flush_counts: Callable[[], None] = lambda: None,
    pushes_in_hand: int = 72,
    monotonic: Callable[[], float] = time.monotonic,
) -> Flask:
    """The writer's application.

    Args:
        verifier: decides on the push token, before anything of the request is read.
        check_ready: raises PipelineError while BigQuery or Pub/Sub does not answer.
        flush_counts: see `create_service`.
        pushes_in_hand: pushes that may be worked on at a time; more are answered 503 at once. Fewer than the
            server's threads, so that one is always left for those answers and for `/health`.
        monotonic: seconds, for the log lines of refusals.
    """
    admitted = BoundedSemaphore(pushes_in_hand)
    refused = logs.Tally(logger, "push.refused", interval_s=REFUSALS_S, monotonic=monotonic)
    app = create_service(
        "pmp_writer",
        project=project,
        max_body_bytes=MAX_BODY_BYTES,
        check_ready=check_ready,
        flush_counts=flush_counts,
    )

    @app.post("/push/<route>")
    def receive(route: str) -> ResponseReturnValue:
        if route not in rows.BY_ROUTE:
            raise NotFound
        if not admitted.acquire(blocking=False):
            refused.add(route)
            return error(503, "busy", "as many pushes as can be in hand", retry_after_s=RETRY_AFTER_S)
        refused.flush()
        try:
            return work_on(route)
        finally:
            admitted.release()

    def work_on(route: str) -> ResponseReturnValue:
        try:
            verifier.verify(request.headers.get("Authorization"))
            message = push.parse_push(dict(request.headers), read_body())
        except Unauthenticated as cause:
            logger.warning("push.unauthenticated", extra={"route": route, "cause": str(cause)})
            return error(401, "unauthenticated", str(cause))
        except Forbidden as cause:
            logger.warning("push.forbidden", extra={"route": route, "cause": str(cause)})
            return error(403, "forbidden", str(cause))
        except MalformedPush as cause:
            logger.error("push.malformed", extra={"route": route, "cause": str(cause)})
            return error(400, "malformed_push", str(cause))
        with logs.bound(message_id=message.message_id[:LOGGED_ID_CHARS], route=route):
            return _answer(handler, route, message)

    return app


def _answer(handler: Handler, route: str, message: Message) -> ResponseReturnValue:
    try:
        dead_letters = handler.handle(route, message)
    except RetryableError as cause:
        logger.warning("message.retried", extra={"cause": f"{type(cause).__name__}: {cause}"})
        return error(503, "unavailable", str(cause), retry_after_s=RETRY_AFTER_S)
    for letter in dead_letters:
        logger.warning(
            "message.poisoned",
            # The detail may quote a value: it goes with the dead letter, not into the log.
            extra={"reason": str(letter.reason), "dead_letter_id": letter.id},
        )
    if not dead_letters:
        logger.debug("message.written")
    return "", 204
