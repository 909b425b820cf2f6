"""`gunicorn -c python:pmp_runtime.http.gunicorn_settings pmp_launcher.wsgi:app`: the only module with side effects."""

import os
from collections.abc import Iterator

from google.pubsub_v1 import PublisherClient

from pmp_launcher.app import create_app
from pmp_launcher.cloud.ends import ToldEnds
from pmp_launcher.config import Config
from pmp_launcher.executors import executors, lacking
from pmp_launcher.feature_runs import Runs
from pmp_runtime import logs
from pmp_runtime.bigquery.queries import Queries, query_client
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema.topology import TOPOLOGY

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
    Runs(executors(config, warehouse, ToldEnds(queries)), publisher, unfinished, wait_s=config.deadline_s),
    lacking=lacking(config),
    default_engine=config.default_engine,
    project=config.project,
    check_ready=check_ready,
)
