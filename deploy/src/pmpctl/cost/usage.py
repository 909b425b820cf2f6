"""Usage of the last days, from the pipeline's tables and in the cloud also from Google's metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from google.cloud import bigquery

from pmp_runtime.bigquery.queries import Queries, transient
from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud import dataflow, metrics, schedules, services
from pmpctl.cloud.clients import Google
from pmpctl.cloud.dataflow import Job
from pmpctl.cloud.services import Service
from pmpctl.google_errors import readable_failures

QUERY_TIMEOUT_S: Final = 60.0
_FEED_TOPICS: Final = {"station_status": "snapshots", "station_information": "station-information"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was published, counted by the publishers and the collector.

    Attributes:
        messages: number by topic id.
        feed_bytes: size of published feed bodies by topic id.
        polls: number of feed polls.
    """

    messages: Mapping[str, int]
    feed_bytes: Mapping[str, int]
    polls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was used in some days.

    Attributes:
        days: length of the measured time.
        table_bytes: size of all tables now.
        schedules: number of schedules, and how many of them are enabled.
        services: Cloud Run services; empty locally.
        requests: by Cloud Run service; None locally.
        instance_seconds: billed, by Cloud Run service; None locally.
        scanned_bytes: billed for queries; None locally.
        job_hours: hours of streaming Dataflow jobs.
        jobs: active Dataflow jobs.
    """

    days: float
    traffic: Traffic
    table_bytes: int
    schedules: tuple[int, int]
    services: tuple[Service, ...] = ()
    requests: Mapping[str, float] | None = None
    instance_seconds: Mapping[str, float] | None = None
    scanned_bytes: float | None = None
    job_hours: float = 0.0
    jobs: tuple[Job, ...] = ()


def local_usage(queries: Queries, since: datetime, now: datetime) -> Usage:
    """From the tables alone. The emulator reports no table sizes, so rows are measured as text."""
    scheduled = len(TOPOLOGY.schedules_of("sql"))
    return Usage(
        days=_days(since, now),
        traffic=_traffic(queries, since),
        table_bytes=_measured_bytes(queries),
        schedules=(scheduled, scheduled),
    )


def cloud_usage(
    google: Google, client: bigquery.Client, queries: Queries, since: datetime, now: datetime
) -> Usage:
    """From the tables, Cloud Monitoring, Cloud Scheduler and Dataflow."""
    found = schedules.read_schedules(google)
    jobs = dataflow.read_jobs(google, ended=True)
    return Usage(
        days=_days(since, now),
        traffic=_traffic(queries, since),
        table_bytes=_table_bytes(client),
        schedules=(len(found), sum(s.state == "ENABLED" for s in found)),
        services=services.read_services(google),
        requests=metrics.read_requests(google, since, now),
        instance_seconds=metrics.read_instance_seconds(google, since, now),
        scanned_bytes=metrics.read_scanned_bytes(google, since, now),
        job_hours=sum(_hours(job, since, now) for job in jobs if job.streaming),
        jobs=tuple(job for job in jobs if job.active),
    )


def _traffic(queries: Queries, since: datetime) -> Traffic:
    parameter = ("TIMESTAMP", since)
    polled = list(queries.rows("polled", since=parameter))
    return Traffic(
        messages={row["topic"]: row["messages"] for row in queries.rows("published", since=parameter)},
        feed_bytes={
            TOPOLOGY.topics[_FEED_TOPICS[row["feed"]]].id: row["published_bytes"]
            for row in polled
            if row["feed"] in _FEED_TOPICS
        },
        polls=sum(row["polls"] for row in polled),
    )


def _days(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds() / 86400


def _hours(job: Job, since: datetime, now: datetime) -> float:
    ended = now if job.active else job.since
    return max(0.0, (ended - max(job.created, since)).total_seconds() / 3600)


def _table_bytes(client: bigquery.Client) -> int:
    names = [f"{client.project}.{d.id}.{table}" for d in TOPOLOGY.datasets.values() for table in d.tables]
    again = transient(QUERY_TIMEOUT_S)
    with readable_failures():
        found = [client.get_table(name, timeout=QUERY_TIMEOUT_S, retry=again) for name in names]
    return sum(table.num_bytes or 0 for table in found)


def _measured_bytes(queries: Queries) -> int:
    (row,) = queries.rows("table_sizes")
    return int(row["bytes"])
