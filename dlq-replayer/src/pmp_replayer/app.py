"""The replayer's HTTP edge: list dead letters, replay them, reconcile."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

from pmp_replayer.counts import Counts
from pmp_replayer.dead_letter_table import DeadLetterTable
from pmp_replayer.reconciliation import Reconciliation
from pmp_replayer.request import ReplayRequest
from pmp_runtime.http.service import create_service, error, read_body, unavailable
from pmp_schema.errors import RetryableError
from pmp_schema.timestamps import parse_since

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 256 * 1024
NDJSON: Final = "application/x-ndjson"
PROGRESS_EVERY_S: Final = 1.0


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET /dead-letters`; `since` is an age (90m, 24h, 7d) or a timestamp."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    reason: str | None = None
    source_topic: str | None = None
    since: str | None = None


class ReconcileRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET /reconcile` and the body of `POST /reconcile`, which may be empty.

    Attributes:
        since: an age (90m, 24h, 7d) or a timestamp; the first hour is the one that contains it.
        ids: also list messages that came twice.
    """

    since: str = "24h"
    ids: bool = False

    def since_at(self, now: datetime) -> datetime:
        """Raises:
        ValueError: neither an age nor a timestamp, or not in the past.
        """
        try:
            at = parse_since(self.since, now)
        except ValueError as cause:
            raise ValueError(
                f"since {self.since}: must be like 90m, 24h, 7d or 2026-01-24T16:00:00Z"
            ) from cause
        if at >= now:
            raise ValueError(f"since {self.since}: must be in the past")
        return at


def create_app(
    replay: Callable[[ReplayRequest], Iterator[Counts]],
    table: DeadLetterTable,
    reconciliation: Reconciliation,
    *,
    project: str,
    check_ready: Callable[[], None],
    flush_counts: Callable[[], None] = lambda: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
) -> Flask:
    """The replayer's application.

    Args:
        replay: starts a replay, which advances as its counts are iterated.
        flush_counts: see `create_service`.
        check_ready: raises PipelineError while BigQuery or Pub/Sub does not answer.
        now: aware UTC clock.
    """
    app = create_service(
        "pmp_replayer",
        project=project,
        max_body_bytes=MAX_BODY_BYTES,
        check_ready=check_ready,
        flush_counts=flush_counts,
    )

    @app.get("/dead-letters")
    def dead_letters() -> ResponseReturnValue:
        try:
            query = msgspec.convert(request.args.to_dict(), ListQuery, strict=False)
            since = parse_since(query.since, now()) if query.since else None
        except ValueError as cause:
            return error(400, "bad_request", str(cause))
        found = table.list(
            limit=query.limit, reason=query.reason, source_topic=query.source_topic, since=since
        )
        return jsonify(dead_letters=found)

    @app.post("/replay")
    def start_replay() -> ResponseReturnValue:
        try:
            wanted = msgspec.json.decode(read_body(), type=ReplayRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            return error(400, "bad_request", str(cause))
        progress = replay(wanted)
        counts = next(progress)  # a replay that cannot start is a 503, even if the answer would be a stream
        if NDJSON in request.headers.get("Accept", ""):
            return Response(_lines(counts, progress, monotonic), mimetype=NDJSON)
        try:
            for _ in progress:
                pass
        except RetryableError as cause:
            return unavailable(cause, f"; replay {counts.replay_id} had replayed {counts.replayed} letters")
        return jsonify(counts.report())

    _add_reconcile(app, reconciliation, now)
    return app


def _add_reconcile(app: Flask, reconciliation: Reconciliation, now: Callable[[], datetime]) -> None:
    @app.route("/reconcile", methods=["GET", "POST"])
    def reconcile() -> ResponseReturnValue:
        is_check = request.method == "POST"
        try:
            if is_check:
                wanted = msgspec.json.decode(read_body() or b"{}", type=ReconcileRequest)
            else:
                wanted = msgspec.convert(request.args.to_dict(), ReconcileRequest, strict=False)
            since = wanted.since_at(now())
        except (ValueError, RecursionError) as cause:  # msgspec and UTF-8 errors are ValueErrors too
            return error(400, "bad_request", str(cause))
        find = reconciliation.check if is_check else reconciliation.look
        return jsonify(find(since, now(), ids=wanted.ids).as_json())


def _lines(counts: Counts, progress: Iterator[Counts], monotonic: Callable[[], float]) -> Iterator[bytes]:
    """One line of counts a second, then the report, or an error if the replay could not go on.

    If the client disconnects, the replay ends.
    """
    with closing(progress):  # type: ignore[type-var]
        yield _line(counts.progress())
        line_at = monotonic()
        try:
            for _ in progress:
                now = monotonic()
                if now - line_at >= PROGRESS_EVERY_S:
                    yield _line(counts.progress())
                    line_at = now
        except RetryableError as cause:
            logger.warning("run.ended", extra={"cause": f"{type(cause).__name__}: {cause}"})
            yield _line({"error": {"reason": "unavailable", "message": str(cause)}, **counts.progress()})
            return
        yield _line(counts.report())


def _line(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
