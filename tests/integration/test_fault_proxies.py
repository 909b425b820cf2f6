"""Both proxies around the real Pub/Sub emulator: a publish through the one, a push through the other."""

import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pmp_runtime.pubsub.publisher import Outgoing, PubSubPublisher
from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from pmpctl.local.pubsub_emulator import docker_answers, pubsub_command
from pmpctl.project.resources import pubsub_clients
from tests.fakes.faults import Hold, LoseAnswer, Refuse
from tests.fakes.pubsub_proxy import PubSubProxy
from tests.fakes.push_proxy import PushProxy
from tests.fakes.server_process import free_port
from tests.fakes.waiting import eventually

pytestmark = pytest.mark.integration
TOPIC = TOPOLOGY.topics["sensor-events"]


@pytest.fixture(scope="module")
def emulator():
    given = os.environ.get("PUBSUB_EMULATOR_HOST")
    if given:
        yield given
        return
    port = free_port()
    try:
        command = pubsub_command(
            os.environ, port, which=shutil.which, home=Path.home(), docker_answers=docker_answers
        )
    except CommandError as error:
        pytest.skip(str(error))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: listens(port), 60, what="the emulator listens")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def received():
    """URL of a service that acknowledges every push, and the data that it got."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append(base64.b64decode(body["message"]["data"]))
            self.send_response(204)
            self.end_headers()
            self.close_connection = True

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_messages_survive_lost_answers_refused_pushes_and_overtaking(emulator, received):
    service, got = received
    project = f"pmp-{uuid.uuid4().hex[:12]}"
    with PubSubProxy(emulator) as pubsub, PushProxy(service) as pushes:
        client, subscriber = pubsub_clients(pubsub.address)
        client.create_topic(name=TOPIC.path(project), timeout=10)
        subscriber.create_subscription(
            name=TOPOLOGY.push_subscription("sensor-events").path(project),
            topic=TOPIC.path(project),
            push_config={"push_endpoint": f"{pushes.url}/push/sensor-events"},
            ack_deadline_seconds=60,
            timeout=10,
        )
        pubsub.faults.next += [Refuse(), LoseAnswer()]
        pushes.faults.next += [Hold(), Refuse(), Refuse(503), LoseAnswer()]
        publisher = PubSubPublisher(client, project)

        publisher.publish(TOPIC, [Outgoing(b"%d" % n) for n in range(5)])
        large = b"l" * 6_000_000
        publisher.publish(TOPIC, [Outgoing(large)])

        # Two of each (the answer was lost) but for the held one, and one more whose acknowledgement was lost.
        eventually(lambda: len(got) == 11, what="everything but the held push arrives")
        assert pushes.faults.release() == 1
        eventually(lambda: len(got) == 12, what="the held push arrives")

        assert set(got) == {b"0", b"1", b"2", b"3", b"4", large}
        assert publisher.take_counts().total() == 6
        assert pubsub.faults.done == {"Refuse": 1, "LoseAnswer": 1, "Through": 2}
        assert pushes.faults.done == {"Hold": 1, "Refuse": 2, "LoseAnswer": 1, "Through": 10}
        assert pubsub.forwarded == {"CreateTopic": 1, "CreateSubscription": 1, "Publish": 3}
