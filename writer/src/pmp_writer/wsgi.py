"""`gunicorn -c python:pmp_runtime.http.gunicorn_settings pmp_writer.wsgi:app`: the only module with side effects."""

import os
from datetime import UTC, datetime

from google.pubsub_v1 import PublisherClient

from pmp_runtime import logs
from pmp_runtime.bigquery.append.channel import storage_write_channel, write_client
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema.topology import TOPOLOGY
from pmp_writer.app import create_app
from pmp_writer.auth import verifier
from pmp_writer.config import Config
from pmp_writer.handler import Handler
from pmp_writer.sinks import Sinks

config = Config.from_env(os.environ)
logs.configure(config.log_level)
publisher = PubSubPublisher(
    PublisherClient(),
    config.project,
    source=TOPOLOGY.services["writer"].id,
    timeout_s=config.publish_timeout_s,
)
sinks = Sinks(config, write_client(storage_write_channel(config.storage_emulator)))


def check_ready() -> None:
    sinks.ping()
    publisher.ping(TOPOLOGY.topics["dead-letters"])


app = create_app(
    Handler(sinks.by_table, publisher, lambda: datetime.now(UTC)),
    verifier(config.push_auth, audience=config.push_audience, account=config.push_service_account),
    project=config.project,
    check_ready=check_ready,
    flush_counts=publisher.flush_counts,
    pushes_in_hand=config.pushes_in_hand,
)
