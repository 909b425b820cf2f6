"""The publishing sink over a loopback Pub/Sub: confirmed before the bundle ends, then announced."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import grpc
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.util import assert_that, equal_to

from pmp_beam.io import PublishMessages
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema.errors import PublishFailed
from pmp_schema.topology import TOPOLOGY
from tests.fakes.pubsub_server import pubsub_server
from tests.fakes.waiting import eventually

TOPIC = TOPOLOGY.topics["sensor-events"].id
RUNNERS = {"bundles": BundleBasedDirectRunner, "fn_api": lambda: "FnApiRunner"}


@pytest.fixture
def pubsub(monkeypatch):
    with pubsub_server() as server:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.address)
        yield server


@pytest.fixture
def project():
    """Of its own for every test, for a process keeps one publisher for each."""
    return f"p-{uuid.uuid4().hex}"


def three(name):
    return [Outgoing(f"{name}{n}".encode(), {"ce-id": f"{name}{n}"}) for n in range(3)]


def nothing(_):
    return []


@pytest.mark.parametrize("runner", RUNNERS)
def test_an_element_comes_out_once_its_messages_are_confirmed(pubsub, project, runner):
    with beam.Pipeline(runner=RUNNERS[runner]()) as pipeline:
        names = pipeline | beam.Create(["a", "b"])
        confirmed = names | PublishMessages("sensor-events", project=project, source="t", messages_of=three)
        assert_that(confirmed, equal_to(["a", "b"]))
    found = sorted((topic, m.data, dict(m.attributes)) for topic, m in pubsub.published)
    expected = [(TOPIC, m.data, m.attributes) for name in "ab" for m in three(name)]
    assert found == expected


def test_an_element_may_be_a_message(pubsub, project):
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        messages = pipeline | beam.Create([Outgoing(b"1")])
        messages | PublishMessages("dead-letters", project=project, source="t")
    assert [(topic, m.data) for topic, m in pubsub.published] == [(TOPOLOGY.topics["dead-letters"].id, b"1")]


def test_an_element_without_messages_comes_out_too(pubsub, project):
    with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
        names = pipeline | beam.Create(["a"])
        confirmed = names | PublishMessages("sensor-events", project=project, source="t", messages_of=nothing)
        assert_that(confirmed, equal_to(["a"]))
    assert pubsub.published == []


@pytest.fixture
def refusing(monkeypatch):
    """A server that knows no call."""
    server = grpc.server(ThreadPoolExecutor(1))
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    yield
    server.stop(None).wait(5)


@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize("runner", RUNNERS)
def test_what_is_not_confirmed_in_time_fails_the_bundle(project, runner):
    pipeline = beam.Pipeline(runner=RUNNERS[runner]())
    sink = PublishMessages("sensor-events", project=project, source="t", retry_s=0.5)
    confirmed = pipeline | beam.Create([Outgoing(b"1")]) | sink
    confirmed | beam.Map(lambda m: pytest.fail("confirmed"))
    with pytest.raises((PublishFailed, RuntimeError), match=f"{TOPIC}: MethodNotImplemented"):
        pipeline.run().wait_until_finish()


def test_an_unknown_topic_is_refused_when_the_pipeline_is_built():
    with pytest.raises(KeyError):
        PublishMessages("no-such-topic", project="p", source="t")


class Confirming:
    """Confirms all; counts its calls."""

    def __init__(self):
        self.calls = []

    def publish(self, request, **_):
        self.calls.append(request)
        return type("Answer", (), {"message_ids": [str(n) for n, _ in enumerate(request["messages"])]})


def test_confirmed_messages_of_many_bundles_are_counted_together():
    client = Confirming()
    publisher = PubSubPublisher(client, "p", source="curate", flush_after_s=2)
    publisher.publish(TOPOLOGY.topics["sensor-events"], three("a"))
    publisher.publish(TOPOLOGY.topics["sensor-events"], three("b"))
    eventually(lambda: len(client.calls) >= 3, 10, every_s=0.02)
    _, _, announced = client.calls
    (event,) = [json.loads(message.data) for message in announced["messages"]]
    assert (event["source"], event["subject"], event["data"]["messages"]) == ("curate", TOPIC, 6)
