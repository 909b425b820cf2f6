"""`gunicorn -c python:pmp_runtime.http.gunicorn_settings pmp_replayer.wsgi:app`: the only module with side effects."""

import os

import grpc
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from pmp_replayer.app import create_app
from pmp_replayer.config import Config
from pmp_replayer.dead_letter_table import DeadLetterTable
from pmp_replayer.reconciliation import Arrivals, Reconciliation
from pmp_replayer.replayer import Replayer
from pmp_runtime import logs
from pmp_runtime.bigquery.queries import query_client
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema.topology import TOPOLOGY


def subscriber_client(emulator: str | None) -> SubscriberClient:
    """Google's own connection to an emulator keeps gRPC's limit of 4 MB; a dead letter may have 10 MB."""
    if emulator is None:
        return SubscriberClient()
    channel = grpc.insecure_channel(emulator, options=[("grpc.max_receive_message_length", -1)])
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


config = Config.from_env(os.environ)
service = TOPOLOGY.services["replayer"].id
logs.configure(config.log_level)
publisher = PubSubPublisher(
    PublisherClient(), config.project, source=service, timeout_s=config.publish_timeout_s
)
bigquery = query_client(config.project, config.bigquery_emulator)
table = DeadLetterTable(bigquery, timeout_s=config.query_timeout_s)
arrivals = Arrivals(bigquery, timeout_s=config.query_timeout_s)
subscriber = subscriber_client(os.environ.get("PUBSUB_EMULATOR_HOST"))


def check_ready() -> None:
    table.ping()
    publisher.ping(TOPOLOGY.topics["dead-letters"])


app = create_app(
    Replayer(config, subscriber, publisher, table, service=service).replay,
    table,
    Reconciliation(arrivals, publisher, service=service),
    project=config.project,
    check_ready=check_ready,
    flush_counts=publisher.flush_counts,
)
