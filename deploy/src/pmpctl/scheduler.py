"""`pmpctl scheduler`: calls the services on time, as Cloud Scheduler does in the cloud, from the same schedules."""

import logging
import os
import signal
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import httpx
import typer

from pmp_runtime import logs
from pmp_schema.topology import SCHEDULE_TIME_HEADER, TOPOLOGY, Schedule
from pmpctl.errors import CommandError
from pmpctl.terminal import Engine

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 10.0  # a schedule is silent for as long as its call lasts
_SIGNALS: Final = {signal.SIGINT, signal.SIGTERM}


def register(app: typer.Typer) -> None:
    """Adds the command to `pmpctl`."""
    app.command()(scheduler)


def scheduler(
    feature_engine: Annotated[
        Engine, typer.Option(help="The engine whose feature schedule runs.")
    ] = Engine.SQL,
) -> None:
    """Calls the services at COLLECTOR_URL and so on when their schedules are due, and once at the start."""
    logs.configure()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every call a second time
    serve(TOPOLOGY.schedules_of(feature_engine.value))


def serve(schedules: Iterable[Schedule]) -> None:
    """Runs until SIGINT or SIGTERM; a call in progress is finished."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    ended = Event()
    # Only loopback or a container network is called: no proxy of the environment.
    with httpx.Client(trust_env=False) as client:
        threads = []
        for schedule in schedules:
            base_url = os.environ.get(f"{schedule.service.upper()}_URL", "").rstrip("/")
            if base_url:
                threads.append(
                    Thread(target=repeat, args=(client, schedule, base_url, ended), name=schedule.id)
                )
            else:
                logger.warning(
                    "schedule.skipped", extra={"schedule": schedule.id, "service": schedule.service}
                )
        for thread in threads:
            thread.start()
        signal.sigwait(_SIGNALS)
        ended.set()
        for thread in threads:
            thread.join()


def repeat(client: httpx.Client, schedule: Schedule, base_url: str, ended: Event) -> None:
    """Calls at once, and then whenever the schedule is due; what came due during a call is one call.

    The first call of a daily schedule does not wait for its hour: a new stack has its metadata at once.
    """
    due = datetime.now(UTC)
    while not ended.wait(max(0.0, (due - datetime.now(UTC)).total_seconds())):
        call(client, schedule, base_url, due)
        due = next_due(schedule, due, datetime.now(UTC))


def next_due(schedule: Schedule, last: datetime, now: datetime) -> datetime:
    """When a schedule is due again: `every_s` seconds after the last time, or daily at a local time.

    Raises:
        CommandError: the schedule has neither.
    """
    if schedule.every_s is not None:
        missed = (now - last) // timedelta(seconds=schedule.every_s)
        return last + max(1, missed) * timedelta(seconds=schedule.every_s)
    if schedule.daily_at is None:
        raise CommandError(f"schedule {schedule.id} has neither every_s nor daily_at")
    hour, minute = map(int, schedule.daily_at.split(":"))
    local = now.astimezone(ZoneInfo(schedule.time_zone or "UTC"))
    today = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    # Arithmetic within a zone keeps the hour of the clock, also across a clock change.
    return (today if today > local else today + timedelta(days=1)).astimezone(UTC)


def call(client: httpx.Client, schedule: Schedule, base_url: str, due: datetime) -> None:
    """One timed request; its outcome is a log line and never an exception."""
    fields = {"schedule": schedule.id, "path": schedule.path}
    began = time.monotonic()
    try:
        response = client.request(
            schedule.method,
            base_url + schedule.path,
            headers={SCHEDULE_TIME_HEADER: due.strftime("%Y-%m-%dT%H:%M:%SZ")},
            json=schedule.body,
            timeout=httpx.Timeout(schedule.timeout_s, connect=CONNECT_TIMEOUT_S),
        )
    except httpx.HTTPError as error:
        logger.warning("schedule.failed", extra={**fields, "cause": str(error) or type(error).__name__})
        return
    fields |= {"status": str(response.status_code), "seconds": f"{time.monotonic() - began:.3f}"}
    if response.is_success:
        logger.info("schedule.called", extra=fields)
    else:
        logger.warning("schedule.refused", extra=fields)
