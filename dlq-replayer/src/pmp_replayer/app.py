"""The replayer's HTTP edge: list dead letters, replay them, reconcile."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import msgspec
from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

from pmp_replayer.check import Findings
from pmp_replayer.criteria import ReplayRequest
from pmp_replayer.reconciliation import parse_since
from pmp_replayer.report import Counts
from pmp_runtime.http.service import create_service, error, read_body, unavailable
from pmp_schema import timestamps
from pmp_schema.errors import RetryableError

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 256 * 1024
NDJSON = "application/x-ndjson"
LINE_S = 1.0  # between two progress lines


class Listing(Protocol):
    def list(
        self, *, limit: int, reason: str | None, source_topic: str | None, since: datetime | None
    ) -> list[dict[str, Any]]:
        """Raises:
        RetryableError: the table does not answer.
        """


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET /dead-letters`; `since` is any instant that messages may have."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    reason: str | None = None
    source_topic: str | None = None
    since: str | None = None


class Reconciling(Protocol):
    """Raises:
    RetryableError: from each method; BigQuery does not answer.
    """

    def look(self, since: datetime, now: datetime, *, ids: bool) -> Findings: ...

    def check(self, since: datetime, now: datetime, *, ids: bool) -> Findings: ...


class ReconcileRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET /reconcile` and the body of `POST /reconcile`, which may be empty.

    Attributes:
        since: an age (90m, 24h, 7d) or an RFC 3339 time; the first hour is the one that holds it.
        ids: also list what came twice.
    """

    since: str = "24h"
    ids: bool = False


_REPLAY = msgspec.json.Decoder(ReplayRequest)
_RECONCILE = msgspec.json.Decoder(ReconcileRequest)


def create_app(
    replays: Callable[[ReplayRequest], Iterator[Counts]],
    table: Listing,
    reconciliation: Reconciling,
    announce: Callable[[], None],
    *,
    project: str,
    check_ready: Callable[[], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
) -> Flask:
    """The replayer's application.

    Args:
        replays: starts a run, which goes on as its counts are asked for.
        announce: publishes what was published since the last call, for reconciliation.
        check_ready: raises PipelineError while BigQuery or Pub/Sub does not answer.
        now: aware UTC clock.
    """
    app = create_service(
        "pmp_replayer", project=project, max_body_bytes=MAX_BODY_BYTES, check_ready=check_ready
    )

    @app.get("/dead-letters")
    def dead_letters() -> ResponseReturnValue:
        try:
            query = msgspec.convert(request.args.to_dict(), ListQuery, strict=False)
            since = timestamps.parse_since(query.since, now()) if query.since else None
        except ValueError as cause:
            return error(400, "bad_request", str(cause))
        found = table.list(
            limit=query.limit, reason=query.reason, source_topic=query.source_topic, since=since
        )
        return jsonify(dead_letters=found)

    @app.post("/replay")
    def replay() -> ResponseReturnValue:
        try:
            wanted = _REPLAY.decode(read_body())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            return error(400, "bad_request", str(cause))
        progress = _announced(replays(wanted), announce)
        counts = next(progress)  # a run that cannot begin is a 503 even where the rest would be a stream
        if NDJSON in request.headers.get("Accept", ""):
            return Response(_lines(counts, progress, monotonic), mimetype=NDJSON)
        try:
            for _ in progress:
                pass
        except RetryableError as cause:
            return unavailable(cause, f"; run {counts.replay_id} had replayed {counts.replayed} letters")
        return jsonify(counts.report())

    _add_reconcile(app, reconciliation, now)
    return app


def _add_reconcile(app: Flask, reconciliation: Reconciling, now: Callable[[], datetime]) -> None:
    @app.get("/reconcile")
    def look() -> ResponseReturnValue:
        def read() -> ReconcileRequest:
            return msgspec.convert(request.args.to_dict(), ReconcileRequest, strict=False)

        return _found(read, reconciliation.look, now())

    @app.post("/reconcile")
    def check() -> ResponseReturnValue:
        return _found(lambda: _RECONCILE.decode(read_body() or b"{}"), reconciliation.check, now())


def _found(
    read: Callable[[], ReconcileRequest], find: Callable[..., Findings], now: datetime
) -> ResponseReturnValue:
    try:
        wanted = read()
        since = parse_since(wanted.since, now)
    except (ValueError, RecursionError) as cause:  # of msgspec and UTF-8 as well
        return error(400, "bad_request", str(cause))
    return jsonify(find(since, now, ids=wanted.ids).as_json())


def _announced(progress: Iterator[Counts], announce: Callable[[], None]) -> Iterator[Counts]:
    try:
        yield from progress
    finally:
        announce()


def _lines(counts: Counts, progress: Iterator[Counts], monotonic: Callable[[], float]) -> Iterator[bytes]:
    """A line of counts a second, then the report; an error where the run could not go on.

    A client that goes away ends the run.
    """
    with closing(progress):  # type: ignore[type-var]
        yield _line(counts.progress())
        line_at = monotonic()
        try:
            for _ in progress:
                now = monotonic()
                if now - line_at >= LINE_S:
                    yield _line(counts.progress())
                    line_at = now
        except RetryableError as cause:
            logger.warning("run.ended", extra={"cause": f"{type(cause).__name__}: {cause}"})
            yield _line({"error": {"reason": "unavailable", "message": str(cause)}, **counts.progress()})
            return
        yield _line(counts.report())


def _line(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
