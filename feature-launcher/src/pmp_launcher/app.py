"""The launcher's HTTP edge: start a run, ask for one."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from pmp_launcher.feature_runs import Runs
from pmp_launcher.request import read_request
from pmp_runtime.http.service import create_service, error, read_body
from pmp_schema.errors import RetryableError
from pmp_schema.features.runs import Engine, Status
from pmp_schema.topology import SCHEDULE_TIME_HEADER

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024


def create_app(
    runs: Runs,
    *,
    lacking: Mapping[Engine, str],
    default_engine: Engine,
    project: str,
    check_ready: Callable[[], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Flask:
    """The launcher's application.

    Args:
        lacking: engines without an executor, and what they lack.
        default_engine: of a request that names none.
        check_ready: raises PipelineError while BigQuery or Pub/Sub does not answer.
        now: aware UTC clock.
    """
    app = create_service(
        "pmp_launcher", project=project, max_body_bytes=MAX_BODY_BYTES, check_ready=check_ready
    )

    @app.post("/runs")
    def start() -> ResponseReturnValue:
        body = read_body()
        try:
            wanted, waits = read_request(
                body,
                request.headers.get(SCHEDULE_TIME_HEADER),
                now=now(),
                lacking=lacking,
                default_engine=default_engine,
            )
        except (ValueError, RecursionError) as cause:  # of msgspec and UTF-8 as well
            return error(400, "bad_request", str(cause))
        launch = runs.start(wanted)
        run = runs.wait(launch.run) if waits else launch.run
        if launch.is_new and launch.run.status is Status.FAILED:
            raise RetryableError(run.error or "the run could not be started")
        logger.info(
            "run.answered",
            extra={"run_id": run.run_id, "attempt": run.attempt, "status": run.status, "new": launch.is_new},
        )
        return jsonify(run.as_json()), 202 if launch.is_new else 200

    @app.get("/runs/<run_id>")
    def find(run_id: str) -> ResponseReturnValue:
        run = runs.find(run_id)
        if run is None:
            return error(404, "not_found", "no such run")
        return jsonify(run.as_json())

    return app
