"""What Pub/Sub itself does about a message, shown by its emulator: redelivery, and its dead-letter policy."""

import json
import uuid

import pytest
from google.pubsub_v1 import PubsubMessage
from google.pubsub_v1.types import DeadLetterPolicy, Subscription

from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from pmpctl.project.messaging import wire_subscription
from pmpctl.project.resources import pubsub_clients
from tests.fakes.faults import Delay, LoseAnswer, Refuse, Twice
from tests.fakes.pubsub_emulator import pubsub_emulator
from tests.fakes.push_proxy import PushProxy
from tests.fakes.waiting import eventually
from tests.faults.bench import DEAD, EVENTS

pytestmark = [pytest.mark.faults, pytest.mark.integration]
ATTEMPTS = 5  # the fewest that Pub/Sub takes
TOPICS = TOPOLOGY.topics


@pytest.fixture(scope="module")
def emulator():
    try:
        with pubsub_emulator() as address:
            yield address
    except CommandError as error:
        pytest.skip(str(error))


class Project:
    """A project of its own on the emulator, its push subscriptions through a proxy to the bench's writer."""

    def __init__(self, address, pushes):
        self.id = f"pmp-{uuid.uuid4().hex[:12]}"
        self.publisher, self.subscriber = pubsub_clients(address)
        self.push_url = pushes.url
        for key in ("sensor-events", "dead-letters"):
            self.publisher.create_topic(name=TOPICS[key].path(self.id), timeout=10)

    def wire(self, key):
        subscription = TOPOLOGY.push_subscription(key)
        return wire_subscription(subscription, TOPOLOGY, project=self.id, push_url=self.push_url)

    def subscribe(self, subscription):
        self.subscriber.create_subscription(request=subscription, timeout=10)

    def publish(self, *messages):
        topic = TOPICS["sensor-events"].path(self.id)
        return list(self.publisher.publish(topic=topic, messages=messages, timeout=10).message_ids)


@pytest.fixture
def pushes(bench):
    with PushProxy(bench.writer.url) as proxy:
        yield proxy


@pytest.fixture
def project(emulator, pushes):
    return Project(emulator, pushes)


def test_pushes_of_pubsub_through_a_bad_network_are_one_event_each(bench, project, pushes):
    """1, 9: pushes of the emulator refused, doubled, delayed, answers lost"""
    faults = (None, None, None, Refuse(), Refuse(503), LoseAnswer(), Twice(), Delay(0.2))
    pushes.faults.rule = lambda _: bench.chance.choice(faults)
    project.subscribe(project.wire("sensor-events"))
    ids = project.publish(
        *(PubsubMessage(data=json.dumps(bench.event()).encode()) for _ in range(bench.scale.messages // 4))
    )
    eventually(lambda: {row["message_id"] for row in bench.rows()} == set(ids), 60)
    bench.note(published=ids)


def test_the_emulators_writer_killed_in_the_middle_loses_nothing(bench, project):
    """2, 3: writer killed while the emulator pushes"""
    project.subscribe(project.wire("sensor-events"))
    count = bench.scale.messages // 2
    ids = project.publish(*(PubsubMessage(data=json.dumps(bench.event()).encode()) for _ in range(count)))
    eventually(lambda: len(bench.rows()) > count // 5)
    bench.writer.kill()
    bench.writer.start()
    eventually(lambda: {row["message_id"] for row in bench.rows()} == set(ids), 60)
    bench.note(published=ids)


def test_what_pubsub_gives_up_is_a_row_with_its_origin(bench, project, pushes):
    """Pub/Sub's own dead-letter policy, 5 attempts, an endpoint that always refuses"""
    attempts = []

    def always_refused(push):
        if push.path != TOPOLOGY.push_subscription("sensor-events").push_path:
            return None
        attempts.append(json.loads(push.body))
        return Refuse(503)

    pushes.faults.rule = always_refused
    impatient = project.wire("sensor-events")
    impatient.dead_letter_policy = DeadLetterPolicy(
        dead_letter_topic=TOPICS["dead-letters"].path(project.id), max_delivery_attempts=ATTEMPTS
    )
    project.subscribe(project.wire("dead-letters"))
    hold = next(s for s in TOPOLOGY.subscriptions if s.topic.id == DEAD and s.push_path is None)
    project.subscribe(Subscription(name=hold.path(project.id), topic=TOPICS["dead-letters"].path(project.id)))
    project.subscribe(impatient)
    data = b"\x00\xff never taken"
    project.publish(PubsubMessage(data=data, attributes={"colour": "blue"}))

    eventually(lambda: bench.rows("dead_letters"), 60)
    (row,) = bench.rows("dead_letters")
    assert (row["reason"], row["source_topic"]) == ("delivery_attempts", EVENTS)
    assert row["source_subscription"] == TOPOLOGY.push_subscription("sensor-events").id
    assert row["data"] == data
    assert json.loads(row["attributes"]) == {"colour": "blue"}
    assert row["delivery_attempts"] == len(attempts) >= ATTEMPTS
    held = project.subscriber.pull(subscription=hold.path(project.id), max_messages=10, timeout=20)
    assert [received.message.data for received in held.received_messages] == [data]
    # Pub/Sub forwards under a new id and does not tell the old one.
    bench.note(published=[row["original_message_id"]])
