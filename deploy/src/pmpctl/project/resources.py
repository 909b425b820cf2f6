"""Makes a project ready: topics, subscriptions, datasets, tables and views, from the topology.

Every step is idempotent and additive; no table is ever dropped.
"""

from dataclasses import dataclass
from typing import Final

import grpc
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import Client as BigQueryClient
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from pmp_runtime.bigquery.queries import query_client
from pmp_schema.topology import Mode, Topology
from pmpctl.errors import no_credentials
from pmpctl.google_errors import readable_failures
from pmpctl.project.changes import Change
from pmpctl.project.messaging import prepare_messaging
from pmpctl.project.warehouse import prepare_warehouse

ALWAYS: Final[frozenset[Mode]] = frozenset({"always"})
# A proxy of the surrounding environment never stands between this process and an emulator.
_NO_PROXY: Final = (("grpc.enable_http_proxy", 0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The Google clients of one project.

    Attributes:
        bigquery_emulated: added columns reach the emulator's storage by a statement of their own.
    """

    publisher: PublisherClient
    subscriber: SubscriberClient
    bigquery: BigQueryClient
    pubsub_emulated: bool
    bigquery_emulated: bool


def pubsub_clients(emulator: str | None) -> tuple[PublisherClient, SubscriberClient]:
    """Administrative clients of Pub/Sub, or of the emulator at `host:port`."""
    if emulator is None:
        return PublisherClient(), SubscriberClient()
    channel = grpc.insecure_channel(emulator, options=_NO_PROXY)
    return (
        PublisherClient(transport=PublisherGrpcTransport(channel=channel)),
        SubscriberClient(transport=SubscriberGrpcTransport(channel=channel)),
    )


def connect(project: str, *, pubsub_emulator: str | None, bigquery_emulator: str | None) -> Clients:
    """Makes the clients of a project; None stands for the real service.

    Raises:
        CommandError: the real services are asked for and there are no credentials.
    """
    try:
        publisher, subscriber = pubsub_clients(pubsub_emulator)
        bigquery = query_client(project, bigquery_emulator)
    except GoogleAuthError as error:
        raise no_credentials(error) from error
    return Clients(
        publisher=publisher,
        subscriber=subscriber,
        bigquery=bigquery,
        pubsub_emulated=pubsub_emulator is not None,
        bigquery_emulated=bigquery_emulator is not None,
    )


def prepare_tables(
    clients: Clients, topology: Topology, *, location: str, dry_run: bool = False
) -> tuple[Change, ...]:
    """Creates or extends datasets, tables and views.

    Raises:
        CommandError: BigQuery refused or did not answer in time.
    """
    with readable_failures("BigQuery"):
        return prepare_warehouse(
            clients.bigquery,
            topology,
            location=location,
            emulated=clients.bigquery_emulated,
            dry_run=dry_run,
        )


def prepare_project(
    clients: Clients,
    topology: Topology,
    *,
    location: str,
    push_url: str,
    modes: frozenset[Mode] = ALWAYS,
) -> tuple[Change, ...]:
    """Creates everything that the services need on emulators.

    Tables come first: a push subscription delivers from the moment it exists.

    Args:
        push_url: base URL of the writer, without a path.

    Raises:
        CommandError: BigQuery or Pub/Sub refused or did not answer in time.
    """
    tables = prepare_tables(clients, topology, location=location)
    with readable_failures("Pub/Sub"):
        return tables + prepare_messaging(
            clients.publisher,
            clients.subscriber,
            topology,
            project=clients.bigquery.project,
            push_url=push_url,
            modes=modes,
        )
