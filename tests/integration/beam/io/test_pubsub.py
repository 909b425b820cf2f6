"""The direct runner over the Pub/Sub emulator, in a process of its own."""

import json
import subprocess
import sys
import uuid

import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient

from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from tests.fakes.pubsub_emulator import pubsub_emulator

pytestmark = pytest.mark.integration
TOPIC = TOPOLOGY.topics["snapshots"]
(SUBSCRIPTION,) = [s for s in TOPOLOGY.subscriptions if s.id == "pmp-events-dataflow-sub"]

# Prints one line per message; ends with code 7 at a message that says so.
PROGRAM = """
import json, os, sys
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from pmp_beam.io import ReadMessages

def show(message):
    print(json.dumps([len(message.data), message.data[:9].decode("latin1"), message.message_id]), flush=True)
    if message.data == sys.argv[2].encode():
        os._exit(7)

pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"]))
(
    pipeline
    | ReadMessages("pmp-events-dataflow-sub", project=sys.argv[1])
    | beam.Map(show)
)
pipeline.run().wait_until_finish()
"""


@pytest.fixture(scope="module")
def emulator():
    try:
        with pubsub_emulator() as host:
            yield host
    except CommandError as error:
        pytest.skip(str(error))


@pytest.fixture
def project(emulator, monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator)
    name = f"pmp-{uuid.uuid4().hex[:12]}"
    PublisherClient().create_topic(name=TOPIC.path(name))
    SubscriberClient().create_subscription(
        name=SUBSCRIPTION.path(name), topic=TOPIC.path(name), ack_deadline_seconds=10
    )
    return name


def publish(project, *messages):
    client = PublisherClient()
    return [
        client.publish(topic=TOPIC.path(project), messages=[{"data": data}]).message_ids[0]
        for data in messages
    ]


def run(project):
    """Runs the pipeline to its end; returns its exit code and what it was given."""
    command = [sys.executable, "-c", PROGRAM, project, "exit"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_backlog_of_compressed_snapshots_is_read(project):
    # Ten messages are pulled at once, and the runner's client takes 4 MB; 300 kB is a feed of some 10,000 stations.
    sizes = [300_000] * 12
    ids = publish(project, *[b"x" * size for size in sizes], b"exit")
    code, seen = run(project)
    assert code == 7
    assert sorted((size, identity) for size, _, identity in seen) == sorted(
        zip([*sizes, 4], ids, strict=True)
    )
