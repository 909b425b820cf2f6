"""The collector's HTTP edge: collect now, simulate now."""

from collections.abc import Callable, Sequence

import msgspec
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from pmp_collector.poll import Poller, PollResult, UnknownSystem
from pmp_collector.sensor_simulation import Simulate, SimulationRequest
from pmp_runtime.http.service import create_service, error, read_body
from pmp_schema.topology import SCHEDULE_TIME_HEADER

MAX_BODY_BYTES = 64 * 1024


def create_app(
    poller: Poller,
    simulate: Simulate,
    publish_polls: Callable[[Sequence[PollResult]], None],
    *,
    project: str,
    check_ready: Callable[[], None],
    flush_counts: Callable[[], None] = lambda: None,
) -> Flask:
    """The collector's application.

    Args:
        publish_polls: publishes the results as ops events.
        check_ready: raises PipelineError while Pub/Sub does not answer.
        flush_counts: see `create_service`.
    """
    app = create_service(
        "pmp_collector",
        project=project,
        max_body_bytes=MAX_BODY_BYTES,
        check_ready=check_ready,
        flush_counts=flush_counts,
    )

    @app.post("/collect/<any(station_status, station_information):feed>")
    def collect(feed: str) -> ResponseReturnValue:
        system = request.args.get("system")
        scheduled = SCHEDULE_TIME_HEADER in request.headers
        try:
            results = poller.poll(feed, system, only_due=scheduled and system is None)
        except UnknownSystem:
            return error(404, "unknown_system", f"system {system!r:.100} is not in the feeds file")
        publish_polls(results)
        failed = bool(results) and all(result.outcome == "failed" for result in results)
        return jsonify(results=[result.as_json() for result in results]), 502 if failed else 200

    @app.post("/simulate")
    def simulate_now() -> ResponseReturnValue:
        try:
            wanted = msgspec.json.decode(read_body() or b"{}", type=SimulationRequest)
        except (msgspec.DecodeError, UnicodeDecodeError) as cause:
            return error(400, "bad_request", str(cause))
        if wanted.seconds > wanted.MAX_SECONDS:
            return error(
                400,
                "too_long",
                f"this would take {wanted.seconds:.0f} s; a request may take {wanted.MAX_SECONDS} s",
            )
        return jsonify(simulate(wanted))

    return app
