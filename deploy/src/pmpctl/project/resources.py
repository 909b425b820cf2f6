"""Prepares the emulators: topics, subscriptions, datasets, tables and views, from the topology.

Every step can be repeated and only adds. In the cloud Terraform does this.
"""

from dataclasses import dataclass
from typing import Final

import grpc
from google.cloud.bigquery import Client as BigQueryClient
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from pmp_runtime.bigquery.queries import query_client
from pmp_schema.topology import Mode, Topology
from pmpctl.project.changes import Change
from pmpctl.project.messaging import prepare_messaging
from pmpctl.project.tables import prepare_tables

ALWAYS: Final[frozenset[Mode]] = frozenset({"always"})
# Calls to an emulator never go through a proxy of the environment.
_NO_PROXY: Final = (("grpc.enable_http_proxy", 0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Clients of the emulators for one project."""

    publisher: PublisherClient
    subscriber: SubscriberClient
    bigquery: BigQueryClient


def pubsub_clients(emulator: str) -> tuple[PublisherClient, SubscriberClient]:
    """Administrative clients of the emulator at `host:port`."""
    channel = grpc.insecure_channel(emulator, options=_NO_PROXY)
    return (
        PublisherClient(transport=PublisherGrpcTransport(channel=channel)),
        SubscriberClient(transport=SubscriberGrpcTransport(channel=channel)),
    )


def connect(project: str, *, pubsub_emulator: str, bigquery_emulator: str) -> Clients:
    publisher, subscriber = pubsub_clients(pubsub_emulator)
    return Clients(
        publisher=publisher, subscriber=subscriber, bigquery=query_client(project, bigquery_emulator)
    )


def prepare_project(
    clients: Clients,
    topology: Topology,
    *,
    location: str,
    push_url: str,
    modes: frozenset[Mode] = ALWAYS,
) -> tuple[Change, ...]:
    """Creates everything that the services need.

    Tables come first: a push subscription delivers as soon as it exists.

    Args:
        push_url: base URL of the writer, without a path.

    Raises:
        CommandError: BigQuery or Pub/Sub refused or did not answer in time.
    """
    tables = prepare_tables(clients.bigquery, topology, location=location, emulated=True)
    return tables + prepare_messaging(
        clients.publisher,
        clients.subscriber,
        topology,
        project=clients.bigquery.project,
        push_url=push_url,
        modes=modes,
    )
