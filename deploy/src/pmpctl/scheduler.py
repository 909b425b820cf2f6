"""Calls the services on time, as Cloud Scheduler does in the cloud, from the same schedules."""

import logging
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from threading import Event
from types import FrameType
from typing import Final
from zoneinfo import ZoneInfo

import httpx
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import SCHEDULE_TIME_HEADER, Schedule
from pmpctl.errors import CommandError

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 10.0  # a schedule is silent for as long as its call lasts


def trigger(schedule: Schedule) -> BaseTrigger:
    """Every so many seconds, or once a day at a local time.

    Raises:
        CommandError: the schedule has neither.
    """
    if schedule.every_s is not None:
        return IntervalTrigger(seconds=schedule.every_s, timezone=UTC)
    if schedule.daily_at is not None:
        hour, minute = schedule.daily_at.split(":")
        return CronTrigger(hour=int(hour), minute=int(minute), timezone=ZoneInfo(schedule.time_zone or "UTC"))
    raise CommandError(f"schedule {schedule.id} has neither every_s nor daily_at")


def call(client: httpx.Client, schedule: Schedule, base_url: str, now: Callable[[], datetime]) -> None:
    """One timed request; its outcome is a log line and never an exception."""
    fields = {"schedule": schedule.id, "path": schedule.path}
    headers = {SCHEDULE_TIME_HEADER: format_timestamp(now().replace(microsecond=0))}
    began = time.monotonic()
    try:
        answer = client.request(
            schedule.method,
            base_url + schedule.path,
            headers=headers,
            json=schedule.body,
            timeout=httpx.Timeout(schedule.timeout_s, connect=CONNECT_TIMEOUT_S),
        )
    except httpx.HTTPError as error:
        logger.warning("schedule.failed", extra={**fields, "cause": str(error) or type(error).__name__})
        return
    fields |= {"status": str(answer.status_code), "seconds": f"{time.monotonic() - began:.3f}"}
    if answer.is_success:
        logger.info("schedule.called", extra=fields)
    else:
        logger.warning("schedule.refused", extra=fields)


def build(
    schedules: Iterable[Schedule],
    services: Mapping[str, str],
    client: httpx.Client,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> BackgroundScheduler:
    """A scheduler that runs every schedule once at its start and then when it is due.

    The first run of a daily schedule does not wait for its hour, so that a new stack has its metadata at once.

    Args:
        schedules: those whose service has no address are left out.
        services: base URL by service key.
        now: the clock.
    """
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})
    for schedule in schedules:
        if schedule.service not in services:
            logger.warning("schedule.skipped", extra={"schedule": schedule.id, "service": schedule.service})
            continue
        scheduler.add_job(
            call,
            trigger(schedule),
            args=(client, schedule, services[schedule.service].rstrip("/"), now),
            id=schedule.id,
            next_run_time=now(),
            # A machine that was asleep polls once when it wakes.
            misfire_grace_time=None,
        )
    return scheduler


def serve(schedules: Iterable[Schedule], services: Mapping[str, str]) -> None:
    """Runs until SIGINT or SIGTERM; a call in progress is finished."""
    # Only loopback or a container network is called: no proxy of the environment.
    with httpx.Client(trust_env=False) as client:
        scheduler = build(schedules, services, client)
        ended = Event()

        def end(_number: int, _frame: FrameType | None) -> None:
            ended.set()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        scheduler.start()
        ended.wait()
        scheduler.shutdown(wait=True)
