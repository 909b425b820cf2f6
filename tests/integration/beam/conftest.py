"""A project of the module's own on both emulators, with every table, topic and pull subscription."""

import re
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient

from pmp_runtime.bigquery.queries import query_client
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from pmpctl.project.resources import pubsub_clients
from pmpctl.project.tables import prepare_tables
from tests.fakes.bigquery_emulator import bigquery_emulator
from tests.fakes.pubsub_emulator import pubsub_emulator
from tests.integration.marts.conftest import Marts

READ = {"pmp-events-dataflow-sub", "pmp-sensor-events-dataflow-sub"}
TAPS = {topic: f"tap-{topic}" for topic in ("sensor-events", "dead-letters", "ops-events")}
"""Subscriptions in which the tests see what was published, by topic."""


@dataclass(frozen=True)
class Project:
    """What a test of a pipeline needs.

    Attributes:
        env: variables of the pipeline's process.
    """

    name: str
    bigquery: Any
    publisher: PublisherClient
    subscriber: SubscriberClient
    env: dict[str, str]

    def tables(self, system: str) -> Marts:
        return Marts(self.bigquery, system)

    def publish(self, topic: str, *messages: Any) -> list[str]:
        """Publishes what has data and attributes; returns message ids."""
        publisher = PubSubPublisher(self.publisher, self.name)
        outgoing = [Outgoing(message.data, message.attributes) for message in messages]
        return publisher.publish(TOPOLOGY.topics[topic], outgoing)

    def pulled(self, topic: str) -> list[Any]:
        """What was published to a topic since the last call."""
        path = f"projects/{self.name}/subscriptions/{TAPS[topic]}"
        found: list[Any] = []
        while True:
            answer = self.subscriber.pull(
                request={"subscription": path, "max_messages": 100, "return_immediately": True},
                timeout=10,
                retry=None,
            )
            if not answer.received_messages:
                return found
            ack_ids = [one.ack_id for one in answer.received_messages]
            self.subscriber.acknowledge(subscription=path, ack_ids=ack_ids, timeout=10)
            found += [one.message for one in answer.received_messages]


@pytest.fixture(scope="session")
def pubsub():
    try:
        with pubsub_emulator() as host:
            yield host
    except CommandError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def bigquery():
    with bigquery_emulator() as running:
        yield running


@pytest.fixture(scope="module")
def project(pubsub, bigquery):
    name = f"pmp-{uuid.uuid4().hex[:12]}"
    client = query_client(name, bigquery.rest)
    prepare_tables(client, TOPOLOGY, location="EU", emulated=True)
    publisher, subscriber = pubsub_clients(pubsub)
    for topic in TOPOLOGY.topics.values():
        publisher.create_topic(name=topic.path(name), timeout=10)
    read = {known.id: known.topic for known in TOPOLOGY.subscriptions if known.id in READ}
    for subscription, topic in [*read.items(), *((tap, TOPOLOGY.topics[key]) for key, tap in TAPS.items())]:
        path = f"projects/{name}/subscriptions/{subscription}"
        subscriber.create_subscription(name=path, topic=topic.path(name), timeout=10)
    env = {
        "PROJECT_ID": name,
        "PUBSUB_EMULATOR_HOST": pubsub,
        "BIGQUERY_EMULATOR_HOST": bigquery.rest,
        "BIGQUERY_STORAGE_EMULATOR_HOST": bigquery.grpc,
    }
    return Project(name, client, publisher, subscriber, env)


@pytest.fixture
def system(request):
    """A system id of the test's own."""
    return re.sub(r"\W", "-", request.node.name)
