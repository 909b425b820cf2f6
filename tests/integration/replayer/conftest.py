"""A project of its own for every test: the dead letters' topic and hold, and what replays arrive at."""

import time
from dataclasses import dataclass, field

import pytest
from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1 import PubsubMessage

from pmp_replayer.config import Config
from pmp_replayer.dead_letter_table import DeadLetterTable
from pmp_replayer.hold import HOLD
from pmp_replayer.replayer import Replayer
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema import tables
from pmp_schema.topology import TOPOLOGY
from pmpctl.project.tables import api_table

TOPICS = TOPOLOGY.topics


@dataclass
class Project:
    """Attributes:
    publisher: Google's, in the shape that services use.
    """

    clients: object
    id: str
    publisher: PubSubPublisher
    taps: dict = field(default_factory=dict)

    def prepare(self):
        for topic in TOPICS.values():
            self.clients.publisher.create_topic(name=topic.path(self.id), timeout=10)
        self.subscribe(HOLD.path(self.id), TOPICS["dead-letters"])
        for key in ("sensor-events", "snapshots", "ops-events"):
            self.taps[key] = f"projects/{self.id}/subscriptions/tap-{key}"
            self.subscribe(self.taps[key], TOPICS[key])
        self.clients.bigquery.create_dataset("pmp_ops", timeout=10)
        for name in ("dead_letters", "events"):
            self.clients.bigquery.create_table(api_table(tables.table(name), self.id), timeout=10)

    def subscribe(self, path, topic):
        request = {"name": path, "topic": topic.path(self.id), "ack_deadline_seconds": 10}
        self.clients.subscriber.create_subscription(request, timeout=10)

    def give_up(self, n, *, topic="sensor-events", reason="schema", **more):
        """Dead letters `dl-0` to `dl-n`, as a consumer publishes them."""
        letters = [
            PubsubMessage(
                data=b"\x00\xff %d" % i,
                attributes={
                    "pmp-reason": reason,
                    "pmp-dead-letter-id": f"dl-{reason}-{i}",
                    "pmp-source-topic": TOPICS[topic].id,
                    "ce-id": f"e-{reason}-{i}",
                    **more,
                },
            )
            for i in range(n)
        ]
        self.clients.publisher.publish(
            topic=TOPICS["dead-letters"].path(self.id), messages=letters, timeout=10
        )
        return [letter.attributes["pmp-dead-letter-id"] for letter in letters]

    def pull(self, path, *, wait_s=1.0, ack=True):
        """Everything that can be pulled until nothing has come for a second."""
        found, last_s = [], time.monotonic()
        while time.monotonic() - last_s < wait_s:
            try:
                response = self.clients.subscriber.pull(
                    subscription=path, max_messages=1000, timeout=2, retry=None
                )
            except DeadlineExceeded:
                continue
            if ack and response.received_messages:
                ack_ids = [one.ack_id for one in response.received_messages]
                self.clients.subscriber.acknowledge(subscription=path, ack_ids=ack_ids, timeout=10)
            if response.received_messages:
                found += [one.message for one in response.received_messages]
                last_s = time.monotonic()
        return found

    def replayed(self, key="sensor-events"):
        return self.pull(self.taps[key])

    def held(self):
        """The hold's letters, by id; they stay there no longer."""
        return sorted(m.attributes["pmp-dead-letter-id"] for m in self.pull(HOLD.path(self.id)))

    def replayer(self, publisher=None, **config):
        return Replayer(
            Config(project=self.id, **{"idle_s": 1.0, "lease_s": 10.0} | config),
            self.clients.subscriber,
            publisher or self.publisher,
            DeadLetterTable(self.clients.bigquery, timeout_s=20),
            service="pmp-dlq-replayer",
        )


@pytest.fixture
def project(clients):
    own = Project(
        clients, clients.bigquery.project, PubSubPublisher(clients.publisher, clients.bigquery.project)
    )
    own.prepare()
    return own
