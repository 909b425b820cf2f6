"""The feed server: GBFS files over HTTP as an operator serves them, and the true moves of all bikes."""

import gzip
import hashlib
import logging
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec
from flask import Flask, Response, request
from gunicorn.app.base import BaseApplication
from werkzeug.exceptions import BadRequest, HTTPException

from pmp_simulator.anomalies import Anomalies, Answer, Kind, apply
from pmp_simulator.recording import RecordingError
from pmp_simulator.source import Feed, FeedSource

logger = logging.getLogger(__name__)

_DISTURBED_FEEDS: Final = ("station_status", "station_information")
_MAX_REQUEST_BYTES: Final = 64 * 1024


class _Force(msgspec.Struct, forbid_unknown_fields=True):
    kind: Kind
    polls: Annotated[int, msgspec.Meta(ge=0)] = 1
    feed: Literal["station_status", "station_information"] = "station_status"


def create_feed_app(source: FeedSource, anomalies: Anomalies | None = None) -> Flask:
    """The server's application.

    `GET /<feed>.json`, `GET /truth.jsonl?since=&until=` (RFC 3339, `since < at <= until`), `GET /health`, and
    `POST /anomaly {"kind","polls","feed"}`, which forces the next answers of a feed.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_REQUEST_BYTES
    disturbances = anomalies or Anomalies()
    last_good: dict[str, Feed] = {}

    @app.get("/health")
    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok", "simulated_at": source.now().isoformat()}

    @app.get("/<name>.json")
    def feed(name: str) -> Response:
        if name not in source.names():
            return _error(404, "not_found", f"there is no feed {name}; /gbfs.json lists the feeds")
        content = source.feed(name, request.host_url.rstrip("/"))
        kind = disturbances.take(name, source.now()) if name in _DISTURBED_FEEDS else None
        if kind is None:
            last_good[name] = content
        else:
            logger.info("anomaly.served", extra={"feed": name, "kind": kind.value})
        shown = last_good.setdefault(name, content) if kind is Kind.FROZEN else content
        return _response(apply(kind, shown.body), shown.changed_at)

    @app.get("/truth.jsonl")
    def truth() -> Response:
        since, until = _instant("since"), _instant("until")
        lines = source.truth(since, until)
        if lines is None:
            return _error(404, "not_found", "only the simulated city has a truth")
        return Response(lines, mimetype="application/x-ndjson")

    @app.post("/anomaly")
    def anomaly() -> dict[str, Any]:
        wanted = _forced()
        disturbances.force(wanted.feed, wanted.kind, wanted.polls)
        return {"kind": wanted.kind.value, "polls": wanted.polls, "feed": wanted.feed}

    @app.errorhandler(RecordingError)
    def damaged(error: RecordingError) -> Response:
        return _error(500, "recording_damaged", str(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        return _error(
            error.code or 500, error.name.lower().replace(" ", "_"), error.description or error.name
        )

    return app


def _response(answer: Answer, changed_at: datetime) -> Response:
    response = Response(answer.body, answer.status, content_type=answer.content_type)
    response.vary.add("Accept-Encoding")
    if answer.retry_after_s is not None:
        response.headers["Retry-After"] = str(answer.retry_after_s)
        return response
    if request.accept_encodings["gzip"] > 0:
        response.set_data(_gzipped(answer.body))
        response.content_encoding = "gzip"
    # Weak: the plain and the compressed body share it.
    response.set_etag(_digest(answer.body), weak=True)
    response.last_modified = changed_at
    response.make_conditional(request)
    return response


@lru_cache(maxsize=4)
def _gzipped(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=5, mtime=0)


@lru_cache(maxsize=4)
def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def _instant(argument: str) -> datetime | None:
    text = request.args.get(argument)
    if not text:
        return None
    try:
        at = datetime.fromisoformat(
            text[:11] + text[11:].replace(" ", "+")
        )  # an unescaped + arrives as a blank
    except ValueError as error:
        raise BadRequest(f"{argument}: not an RFC 3339 timestamp") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _forced() -> _Force:
    try:
        return msgspec.json.decode(request.get_data(), type=_Force)
    except msgspec.DecodeError as error:
        raise BadRequest(str(error)) from error


def _error(status: int, reason: str, message: str) -> Response:
    body = msgspec.json.encode({"error": {"reason": reason, "message": message}})
    return Response(body, status, content_type="application/json")


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn without its command line and without configuration files."""

    def __init__(self, app: Flask, options: dict[str, Any]) -> None:
        self._app = app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._app


def serve(source: FeedSource, *, host: str, port: int, anomalies: Anomalies | None = None) -> None:
    """Serves until SIGTERM or SIGINT; then answers open requests and exits with status 0.

    There is one worker, because the city is state of one process. If it dies, the next worker simulates the same
    time again from the same seed, and reaches the same state.

    Raises:
        SystemExit: at the end; status 1 if the port is not available.
    """
    options = {
        "bind": f"{host}:{port}",
        "workers": 1,
        "worker_class": "gthread",
        "threads": 8,
        "timeout": 0,
        "graceful_timeout": 5,
        "keepalive": 75,
        "loglevel": "warning",
        "proc_name": "pmp-feed-server",
        "control_socket_disable": True,
    }
    _Server(create_feed_app(source, anomalies), options).run()
