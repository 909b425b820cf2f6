"""`gunicorn -c python:pmp_schema.serving pmp_launcher.wsgi:app`: the only module with side effects."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

from google.cloud import bigquery, run_v2
from google.pubsub_v1 import PublisherClient

from pmp_launcher.app import create_app
from pmp_launcher.cloud.cloud_run_work import JOB, CloudRunWork
from pmp_launcher.cloud.executor import ClaimedExecutor
from pmp_launcher.cloud.jobs import Jobs
from pmp_launcher.cloud.sql_work import SqlWork
from pmp_launcher.config import Config
from pmp_launcher.local.executor import LocalExecutor
from pmp_launcher.run import Engine, Executor
from pmp_launcher.runs import Runs
from pmp_launcher.warehouse import BigQueryWarehouse
from pmp_schema import logs
from pmp_schema.bigquery.queries import Queries, query_client
from pmp_schema.features import FeatureTables
from pmp_schema.publisher import PubSubPublisher
from pmp_schema.tables import table
from pmp_schema.topology import TOPOLOGY


def utc_now() -> datetime:
    return datetime.now(UTC)


def local_executors(config: Config) -> Mapping[Engine, Executor]:
    python = (sys.executable, "-m")
    commands = {
        Engine.SQL: (*python, "pmp_launcher", "station_features"),
        Engine.BEAM: (*python, "pmp_beam", "station_features", "--runner=direct"),
    }
    local = LocalExecutor(config.state.absolute(), commands, deadline_s=config.deadline_s, now=utc_now)
    return dict.fromkeys(Engine, local)


def cloud_executors(config: Config, client: bigquery.Client) -> Mapping[Engine, Executor]:
    timeout_s = config.query_timeout_s
    jobs = Jobs(client, table("station_features").dataset, timeout_s=timeout_s)
    claimed = partial(ClaimedExecutor, jobs, deadline_s=config.deadline_s, now=utc_now)
    warehouse = BigQueryWarehouse(client, timeout_s=timeout_s, statement_s=config.deadline_s)
    executors: dict[Engine, Executor] = {
        Engine.SQL: claimed(SqlWork(jobs, warehouse, feature_tables(config), utc_now))
    }
    if config.region:
        job = run_v2.JobsClient.job_path(config.project, config.region, JOB)
        work = CloudRunWork(run_v2.JobsClient(), run_v2.ExecutionsClient(), job, timeout_s=timeout_s)
        executors[Engine.BEAM] = claimed(work)
    return executors


def feature_tables(config: Config) -> FeatureTables:
    return FeatureTables.of(
        config.project, raw_events=config.raw_event_table, station_features=config.features_table
    )


config = Config.from_env(os.environ)
logs.configure(config.log_level)
publisher = PubSubPublisher(PublisherClient(), config.project, timeout_s=config.publish_timeout_s)
warehouse = query_client(config.project, config.bigquery_emulator)
queries = Queries(warehouse, "pmp_launcher", timeout_s=config.query_timeout_s)


def unfinished() -> Iterator[str]:
    return (str(row["run_id"]) for row in queries.rows("unfinished_runs"))


def check_ready() -> None:
    queries.ping("station_features")
    publisher.ping(TOPOLOGY.topics["ops-events"])


app = create_app(
    Runs(
        local_executors(config) if config.executor == "local" else cloud_executors(config, warehouse),
        publisher,
        unfinished,
        sleep=time.sleep,
    ),
    default_engine=config.default_engine,
    project=config.project,
    check_ready=check_ready,
)
