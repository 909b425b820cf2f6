"""`gunicorn -c python:pmp_runtime.http.gunicorn_settings pmp_replayer.wsgi:app`: the only module with side effects."""

import os

import grpc
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from pmp_replayer.app import create_app
from pmp_replayer.arrivals import Arrivals
from pmp_replayer.check import Reconciliation
from pmp_replayer.config import Config
from pmp_replayer.replays import Replays
from pmp_replayer.table import DeadLetterTable
from pmp_runtime import logs
from pmp_runtime.bigquery.queries import query_client
from pmp_runtime.pubsub.publisher import PubSubPublisher, announce_counts
from pmp_schema.topology import TOPOLOGY


def subscriber_client(emulator: str | None) -> SubscriberClient:
    """The client; Google's own way to an emulator keeps gRPC's 4 MB limit, and a letter may have 10 MB."""
    if emulator is None:
        return SubscriberClient()
    channel = grpc.insecure_channel(emulator, options=[("grpc.max_receive_message_length", -1)])
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


config = Config.from_env(os.environ)
service = TOPOLOGY.services["replayer"].id
logs.configure(config.log_level)
publisher = PubSubPublisher(PublisherClient(), config.project, timeout_s=config.publish_timeout_s)
warehouse = query_client(config.project, config.bigquery_emulator)
table = DeadLetterTable(warehouse, timeout_s=config.query_timeout_s)
arrivals = Arrivals(warehouse, timeout_s=config.query_timeout_s)


def check_ready() -> None:
    table.ping()
    publisher.ping(TOPOLOGY.topics["dead-letters"])


app = create_app(
    Replays(
        config, subscriber_client(os.environ.get("PUBSUB_EMULATOR_HOST")), publisher, table, service=service
    ),
    table,
    Reconciliation(arrivals, publisher, service=service),
    lambda: announce_counts(publisher, service),
    project=config.project,
    check_ready=check_ready,
)
