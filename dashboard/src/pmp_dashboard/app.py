"""The dashboard's HTTP edge: one page, its files, and JSON that viewers share."""

import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Protocol, TypeVar

import msgspec
from flask import Flask, Response, request, send_from_directory
from flask.typing import ResponseReturnValue

from pmp_dashboard.answers import Answers
from pmp_dashboard.marts import System, UnknownStation
from pmp_schema.errors import RetryableError
from pmp_schema.service import create_service, error

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 1024  # no request has a body
RETRY_AFTER_S: Final = 10
SLOWER: Final = 3  # totals are of hours, features come twice an hour; and so often does a page ask
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


class Answering(Protocol):
    """Every method raises `RetryableError` where the marts do not answer."""

    def health(self) -> dict[str, Any]: ...

    def stations(self, system: System) -> dict[str, Any]: ...

    def totals(self, system: System, hours: int) -> dict[str, Any]: ...

    def station(self, system: System, station_id: str) -> dict[str, Any]:
        """Raises:
        UnknownStation: nothing is known of it.
        """

    def features(self, system: System) -> dict[str, Any]: ...


class SystemQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    system: SystemId


class TotalsQuery(SystemQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hours: Annotated[int, msgspec.Meta(ge=1, le=744)] = 24


class StationQuery(SystemQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    station: SystemId


class UnknownSystem(LookupError):
    """The pipeline has never seen it."""


class Board:
    """The answers, kept: as they go out, compressed.

    Args:
        fresh_s: seconds that answers of the live tables are kept, the slower ones three times as long.
    """

    def __init__(self, marts: Answering, *, fresh_s: float) -> None:
        self._marts = marts
        self._fresh_s = fresh_s
        self._healths: Answers[dict[str, Any]] = Answers()
        self._bodies: Answers[bytes] = Answers()

    def health(self) -> bytes:
        return _packed(self._health() | {"refresh_s": SLOWER * self._fresh_s})

    def stations(self, query: SystemQuery) -> bytes:
        return self._body(("stations", query), self._fresh_s, query, self._marts.stations)

    def totals(self, query: TotalsQuery) -> bytes:
        return self._body(
            ("totals", query),
            SLOWER * self._fresh_s,
            query,
            lambda system: self._marts.totals(system, query.hours),
        )

    def station(self, query: StationQuery) -> bytes:
        return self._body(
            ("station", query),
            self._fresh_s,
            query,
            lambda system: self._marts.station(system, query.station),
        )

    def features(self, query: SystemQuery) -> bytes:
        return self._body(("features", query), SLOWER * self._fresh_s, query, self._marts.features)

    def _health(self) -> dict[str, Any]:
        return self._healths.get("health", self._fresh_s, self._marts.health)

    def _body(
        self,
        question: tuple[str, SystemQuery],
        fresh_s: float,
        query: SystemQuery,
        ask: Callable[[System], dict[str, Any]],
    ) -> bytes:
        return self._bodies.get(question, fresh_s, lambda: _packed(ask(self._system(query.system))))

    def _system(self, system_id: str) -> System:
        for row in self._health()["systems"]:
            if row["system_id"] == system_id:
                return System.from_health(row)
        raise UnknownSystem(system_id)


def create_app(
    marts: Answering, *, project: str, check_ready: Callable[[], None], fresh_s: float = 20.0
) -> Flask:
    """The dashboard's application.

    Args:
        check_ready: raises PipelineError while BigQuery does not answer.
        fresh_s: seconds that answers of the live tables are kept.
    """
    app = create_service(
        "pmp_dashboard", project=project, max_body_bytes=MAX_BODY_BYTES, check_ready=check_ready
    )
    board = Board(marts, fresh_s=fresh_s)

    @app.get("/")
    def page() -> ResponseReturnValue:
        return send_from_directory(PAGE, "index.html")

    @app.get("/static/<path:name>")
    def static_file(name: str) -> ResponseReturnValue:
        return send_from_directory(PAGE, name)

    @app.get("/api/health")
    def pipeline_health() -> ResponseReturnValue:
        return _answered(board.health)

    @app.get("/api/stations")
    def stations() -> ResponseReturnValue:
        return _answered(lambda: board.stations(_read(SystemQuery)))

    @app.get("/api/totals")
    def totals() -> ResponseReturnValue:
        return _answered(lambda: board.totals(_read(TotalsQuery)))

    @app.get("/api/station/<system>/<path:station>")
    def station(system: str, station: str) -> ResponseReturnValue:
        return _answered(lambda: board.station(_read(StationQuery, system=system, station=station)))

    @app.get("/api/features")
    def features() -> ResponseReturnValue:
        return _answered(lambda: board.features(_read(SystemQuery)))

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    return app


def _read(kind: type[Q], **path: str) -> Q:
    return msgspec.convert(request.args.to_dict() | path, kind, strict=False)


def _answered(ask: Callable[[], bytes]) -> Response:
    try:
        body = ask()
    except msgspec.ValidationError as cause:
        return error(400, "bad_request", str(cause))
    except UnknownSystem:
        return error(404, "unknown_system", "no system of this name; see /api/health")
    except UnknownStation:
        return error(404, "unknown_station", "no station of this name")
    except RetryableError as cause:
        logger.warning("request.unavailable", extra={"cause": f"{type(cause).__name__}: {cause}"})
        return error(503, "unavailable", str(cause), retry_after_s=RETRY_AFTER_S)
    response = Response(
        mimetype="application/json", headers={"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    )
    if request.accept_encodings.quality("gzip") > 0:
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(body)
    else:
        response.set_data(gzip.decompress(body))
    return response


def _packed(answer: dict[str, Any]) -> bytes:
    return gzip.compress(msgspec.json.encode(answer), compresslevel=6)
