"""`gunicorn -c python:pmp_schema.serving pmp_replayer.wsgi:app`: the only module with side effects."""

import os

import grpc
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from pmp_replayer.app import create_app
from pmp_replayer.config import Config
from pmp_replayer.replays import Replays
from pmp_replayer.table import DeadLetterTable
from pmp_schema import logs
from pmp_schema.publisher import PubSubPublisher, announce_counts
from pmp_schema.topology import TOPOLOGY


def bigquery_client(project: str, emulator: str | None) -> bigquery.Client:
    if emulator is None:
        return bigquery.Client(project)
    return bigquery.Client(
        project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options=ClientOptions(api_endpoint=emulator),
    )


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
table = DeadLetterTable(
    bigquery_client(config.project, config.bigquery_emulator), timeout_s=config.query_timeout_s
)


def check_ready() -> None:
    table.ping()
    publisher.ping(TOPOLOGY.topics["dead-letters"])


app = create_app(
    Replays(
        config, subscriber_client(os.environ.get("PUBSUB_EMULATOR_HOST")), publisher, table, service=service
    ),
    table,
    lambda: announce_counts(publisher, service),
    project=config.project,
    check_ready=check_ready,
)
