"""The switch between pushes and Beam, on the Pub/Sub emulator."""

import http.server
import json
import threading
from base64 import b64decode

import pytest
from google.pubsub_v1 import PubsubMessage

from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from pmpctl.project.ingestion import TOPIC, Pace, Switch
from pmpctl.project.messaging import PushTarget, prepare_messaging
from pmpctl.target import Ingestion

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PUSH = TOPOLOGY.push_subscription(TOPIC)
PULL = next(s for s in TOPOLOGY.subscriptions if s.topic.key == TOPIC and s.push_path is None)


class Endpoint:
    """A push endpoint that refuses until it is opened, and remembers what it took."""

    def __init__(self):
        self.taken: list[str] = []
        self.open = threading.Event()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if endpoint.open.is_set():
                    endpoint.taken.append(b64decode(body["message"]["data"]).decode())
                self.send_response(204 if endpoint.open.is_set() else 503)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def endpoint():
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    thread.join()
    endpoint.server.server_close()


@pytest.fixture
def project(clients, endpoint):
    name = clients.bigquery.project
    prepare_messaging(
        clients.publisher,
        clients.subscriber,
        TOPOLOGY,
        project=name,
        push=PushTarget(base_url=endpoint.url),
        modes=frozenset({"always"}),
        emulated=True,
    )
    return name


def publish(clients, project, *texts):
    topic = TOPOLOGY.topics[TOPIC].path(project)
    messages = [PubsubMessage(data=text.encode()) for text in texts]
    clients.publisher.publish(topic=topic, messages=messages, timeout=10)


def switch(clients, project, endpoint, *, told=None, timeout_s=60.0):
    return Switch(
        clients.subscriber,
        TOPOLOGY,
        project,
        PushTarget(base_url=endpoint.url),
        emulated=True,
        pace=Pace(handler_s=1.0, retry_s=1.0, timeout_s=timeout_s, clock_slack_s=0.2),
        tell=(told if told is not None else []).append,
    )


def existing(clients, project):
    found = clients.subscriber.list_subscriptions(project=f"projects/{project}", timeout=10)
    return {s.name.rsplit("/", 1)[-1] for s in found} & {PUSH.id, PULL.id}


def pulled(clients, project):
    answer = clients.subscriber.pull(subscription=PULL.path(project), max_messages=100, timeout=5)
    return {one.message.data.decode() for one in answer.received_messages}


def test_a_switch_waits_for_the_pushes_and_keeps_what_is_published_meanwhile(clients, project, endpoint):
    publish(clients, project, "before")
    told = []
    running = threading.Thread(
        target=switch(clients, project, endpoint, told=told).to, args=[Ingestion.HIGH_VOLUME]
    )
    running.start()
    while not any("before the switch" in line for line in told):
        running.join(0.1)
        assert running.is_alive(), told
    publish(clients, project, "meanwhile")
    endpoint.open.set()
    running.join(60)
    assert existing(clients, project) == {PULL.id}
    assert "before" in endpoint.taken
    assert "meanwhile" in pulled(clients, project)


def test_a_backlog_that_nobody_works_on_is_never_deleted(clients, project, endpoint):
    publish(clients, project, "before")
    with pytest.raises(CommandError, match="still has messages"):
        switch(clients, project, endpoint, timeout_s=0.5).to(Ingestion.HIGH_VOLUME)
    assert existing(clients, project) == {PUSH.id, PULL.id}
    endpoint.open.set()
    switch(clients, project, endpoint).to(Ingestion.HIGH_VOLUME)
    assert existing(clients, project) == {PULL.id}
    assert endpoint.taken == ["before"]


def test_the_way_back_deletes_the_pull_subscription_when_it_is_worked_off(clients, project, endpoint):
    endpoint.open.set()
    switch(clients, project, endpoint).to(Ingestion.HIGH_VOLUME)
    publish(clients, project, "for beam")
    with pytest.raises(CommandError, match="still has messages"):
        switch(clients, project, endpoint, timeout_s=0.5).to(Ingestion.PUSH)
    answer = clients.subscriber.pull(subscription=PULL.path(project), max_messages=10, timeout=5)
    ids = [one.ack_id for one in answer.received_messages]
    clients.subscriber.acknowledge(subscription=PULL.path(project), ack_ids=ids, timeout=5)
    switch(clients, project, endpoint).to(Ingestion.PUSH)
    assert existing(clients, project) == {PUSH.id}


def test_a_plan_says_what_a_switch_does_and_does_nothing(clients, project, endpoint):
    endpoint.open.set()
    planning = switch(clients, project, endpoint)
    only = "when only messages are left in it that {} has too"
    assert planning.plan(Ingestion.HIGH_VOLUME) == [
        f"create {PULL.id}",
        f"delete {PUSH.id}, {only.format(PULL.id)}",
    ]
    assert existing(clients, project) == {PUSH.id}
    planning.to(Ingestion.HIGH_VOLUME)
    assert planning.plan(Ingestion.HIGH_VOLUME) == []
    assert planning.plan(Ingestion.PUSH) == [f"create {PUSH.id}", f"delete {PULL.id}, {only.format(PUSH.id)}"]


def test_a_switch_that_is_done_changes_nothing(clients, project, endpoint):
    told = []
    switch(clients, project, endpoint, told=told).to(Ingestion.PUSH)
    assert existing(clients, project) == {PUSH.id}
    assert told == [f"{PULL.id} does not exist: push it is"]
