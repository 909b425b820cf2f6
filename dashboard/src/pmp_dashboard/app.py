"""The dashboard's HTTP edge: one page, its files, and cached JSON."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from flask import Flask, Response, request, send_from_directory
from flask.typing import ResponseReturnValue

from pmp_dashboard.cache import CacheFull
from pmp_dashboard.cached_marts import PERIODS, Answer, CachedMarts, UnknownStation, UnknownSystem
from pmp_dashboard.marts import Marts
from pmp_runtime.http.service import RETRY_AFTER_S, create_service, error

MAX_BODY_BYTES: Final = 1024  # no request has a body
PAGE: Final = Path(__file__).parent / "static"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

SystemId = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Q = TypeVar("Q", bound="SystemQuery")


class SystemQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    system: SystemId


class TotalsQuery(SystemQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hours: Annotated[int, msgspec.Meta(ge=1, le=PERIODS[-1])] = 24


class StationQuery(SystemQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    station: SystemId


def create_app(marts: Marts, *, project: str, check_ready: Callable[[], None], fresh_s: float) -> Flask:
    """The dashboard's application.

    Args:
        check_ready: raises PipelineError while BigQuery does not answer.
        fresh_s: seconds for which answers from live tables are cached.
    """
    app = create_service(
        "pmp_dashboard", project=project, max_body_bytes=MAX_BODY_BYTES, check_ready=check_ready
    )
    cached = CachedMarts(marts, fresh_s=fresh_s)

    @app.get("/")
    def page() -> ResponseReturnValue:
        return send_from_directory(PAGE, "index.html")

    @app.get("/static/<path:name>")
    def static_file(name: str) -> ResponseReturnValue:
        return send_from_directory(PAGE, name)

    @app.get("/api/health")
    def pipeline_health() -> ResponseReturnValue:
        return _answered(cached.health)

    @app.get("/api/stations")
    def stations() -> ResponseReturnValue:
        return _query(SystemQuery, lambda query: cached.stations(query.system))

    @app.get("/api/totals")
    def totals() -> ResponseReturnValue:
        return _query(TotalsQuery, lambda query: cached.totals(query.system, query.hours))

    @app.get("/api/station/<system>/<path:station>")
    def station(system: str, station: str) -> ResponseReturnValue:
        path = {"system": system, "station": station}
        return _query(StationQuery, lambda query: cached.station(query.system, query.station), path)

    @app.get("/api/features")
    def features() -> ResponseReturnValue:
        return _query(SystemQuery, lambda query: cached.features(query.system))

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    return app


def _query(kind: type[Q], answer: Callable[[Q], Answer], path: dict[str, str] | None = None) -> Response:
    return _answered(
        lambda: answer(msgspec.convert(request.args.to_dict() | (path or {}), kind, strict=False))
    )


def _answered(answer: Callable[[], Answer]) -> Response:
    try:
        body = answer().body
    except msgspec.ValidationError as cause:
        return error(400, "bad_request", str(cause))
    except UnknownSystem:
        return error(404, "unknown_system", "no system has this id; /api/health lists the systems")
    except UnknownStation:
        return error(404, "unknown_station", "the system has no station with this id")
    except CacheFull as cause:
        return error(429, "too_many_questions", str(cause), retry_after_s=RETRY_AFTER_S)
    response = Response(
        mimetype="application/json", headers={"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    )
    if request.accept_encodings.quality("gzip") > 0:
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(body)
    else:
        response.set_data(gzip.decompress(body))
    return response
