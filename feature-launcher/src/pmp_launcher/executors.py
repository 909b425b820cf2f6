"""Which executor carries out which engine, by LAUNCHER_EXECUTOR and by what is there."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from typing import Final

from google.cloud import bigquery, run_v2

from pmp_launcher.cloud.cloud_run_work import CloudRunWork
from pmp_launcher.cloud.executor import ClaimedExecutor, Ends, Work
from pmp_launcher.cloud.jobs import Jobs
from pmp_launcher.cloud.sql_work import SqlWork
from pmp_launcher.config import Config
from pmp_launcher.feature_run import Executor
from pmp_launcher.local.executor import LocalExecutor
from pmp_runtime.bigquery.statements import BigQueryStatements
from pmp_schema.features.runs import Engine
from pmp_schema.tables import table
from pmp_schema.topology import TOPOLOGY

_PYTHON: Final = (sys.executable, "-m")
_COMMANDS: Final = {
    Engine.SQL: (*_PYTHON, "pmp_launcher", "station_features"),
    # Whether a run may be provisional is settled: the request was taken.
    Engine.BEAM: (*_PYTHON, "pmp_beam", "station_features", "--runner=direct", "--provisional"),
}


def lacking(config: Config) -> Mapping[Engine, str]:
    """Engines that have no executor here, and what is missing."""
    if config.executor == "local":
        return {} if find_spec("pmp_beam") else {Engine.BEAM: "the package pmp_beam is not installed"}
    return {} if config.region else {Engine.BEAM: "REGION is not set"}


def executors(config: Config, client: bigquery.Client, told: Ends) -> Mapping[Engine, Executor]:
    """The executor of every other engine."""
    engines = [engine for engine in Engine if engine not in lacking(config)]
    if config.executor == "local":
        local = LocalExecutor(config.state.absolute(), _COMMANDS, deadline_s=config.deadline_s, now=_now)
        return dict.fromkeys(engines, local)
    jobs = Jobs(client, table("station_features").dataset, timeout_s=config.query_timeout_s)
    claimed = partial(ClaimedExecutor, jobs, told=told, deadline_s=config.deadline_s, now=_now)
    return {engine: claimed(_work(engine, config, client, jobs)) for engine in engines}


def _work(engine: Engine, config: Config, client: bigquery.Client, jobs: Jobs) -> Work:
    if engine is Engine.SQL:
        warehouse = BigQueryStatements(client, call_s=config.query_timeout_s, statement_s=config.deadline_s)
        return SqlWork(jobs, warehouse, config.tables, _now)
    job = run_v2.JobsClient.job_path(
        config.project, str(config.region), TOPOLOGY.launchers["station_features"]
    )
    return CloudRunWork(run_v2.JobsClient(), run_v2.ExecutionsClient(), job, timeout_s=config.query_timeout_s)


def _now() -> datetime:
    return datetime.now(UTC)
