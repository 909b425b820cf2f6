"""`pmpctl scheduler`: calls the services on time, as Cloud Scheduler does in the cloud, from the same schedules."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import httpx
import typer
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from pmp_runtime import logs
from pmp_schema.timestamps import format_timestamp
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
    # Only loopback or a container network is called: no proxy of the environment.
    with httpx.Client(trust_env=False) as client:
        scheduler = build(schedules, service_urls(os.environ), client)
        scheduler.start()
        signal.sigwait(_SIGNALS)
        scheduler.shutdown(wait=True)


def service_urls(env: Mapping[str, str]) -> dict[str, str]:
    """Base URL by service key, from COLLECTOR_URL and so on."""
    urls = {key: env.get(f"{key.upper()}_URL", "").rstrip("/") for key in TOPOLOGY.services}
    return {key: url for key, url in urls.items() if url}


def build(
    schedules: Iterable[Schedule],
    services: Mapping[str, str],
    client: httpx.Client,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> BackgroundScheduler:
    """A scheduler that runs every schedule once at its start and then when it is due.

    The first call of a daily schedule does not wait for its hour: a new stack has its metadata at once.

    Args:
        services: base URL by service key; schedules of other services are skipped.
    """
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})
    for schedule in schedules:
        if schedule.service not in services:
            logger.warning("schedule.skipped", extra={"schedule": schedule.id, "service": schedule.service})
            continue
        scheduler.add_job(
            call,
            trigger(schedule),
            args=(client, schedule, services[schedule.service], now),
            id=schedule.id,
            next_run_time=now(),
            misfire_grace_time=None,  # a machine that was asleep polls once when it wakes
        )
    return scheduler


def trigger(schedule: Schedule) -> BaseTrigger:
    """Every `every_s` seconds, or once a day at a local time.

    Raises:
        CommandError: the schedule has neither.
    """
    if schedule.every_s is not None:
        return IntervalTrigger(seconds=schedule.every_s, timezone=UTC)
    if schedule.daily_at is None:
        raise CommandError(f"schedule {schedule.id} has neither every_s nor daily_at")
    hour, minute = map(int, schedule.daily_at.split(":"))
    return CronTrigger(hour=hour, minute=minute, timezone=ZoneInfo(schedule.time_zone or "UTC"))


def call(client: httpx.Client, schedule: Schedule, base_url: str, now: Callable[[], datetime]) -> None:
    """One timed request; its outcome is a log line and never an exception."""
    fields = {"schedule": schedule.id, "path": schedule.path}
    began = time.monotonic()
    try:
        response = client.request(
            schedule.method,
            base_url + schedule.path,
            headers={SCHEDULE_TIME_HEADER: format_timestamp(now().replace(microsecond=0))},
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
