import json
from types import SimpleNamespace

import pytest
from google.api_core import exceptions
from google.auth.exceptions import TransportError

from pmp_runtime.pubsub.ops_events import ops_event
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import MAX_BYTES, MAX_MESSAGES, PubSubPublisher, batches
from pmp_schema.errors import PublishFailed
from pmp_schema.events import decode_ops_event
from pmp_schema.topology import TOPOLOGY

TOPIC = TOPOLOGY.topics["sensor-events"]
OPS = TOPOLOGY.topics["ops-events"]


class Client:
    """Stands for the generated client; `outcomes` holds exceptions, one per attempt."""

    def __init__(self, outcomes=(), *, ids_lost=0, seconds_per_call=0.0):
        self.outcomes = list(outcomes)
        self.requests = []
        self.timeouts = []
        self.asked = []
        self.now = 0.0
        self.ids_lost = ids_lost
        self._seconds = seconds_per_call

    def publish(self, *, request, retry, timeout):
        def attempt():
            self.timeouts.append(timeout)
            self.now += self._seconds
            if self.outcomes:
                raise self.outcomes.pop(0)
            self.requests.append(request)
            ids = [f"m-{n}" for n in range(len(request["messages"]))]
            return SimpleNamespace(message_ids=ids[self.ids_lost :])

        return retry(attempt)()

    def get_topic(self, *, topic, timeout, retry):
        self.asked.append((topic, timeout, retry))
        if self.outcomes:
            raise self.outcomes.pop(0)


def publisher_of(client, timeout_s=10.0):
    return PubSubPublisher(
        client, "p", source="pmp-collector", timeout_s=timeout_s, monotonic=lambda: client.now
    )


def test_a_publish_returns_the_ids_of_its_messages():
    client = Client()
    messages = [Outgoing(b"a", {"x": "é", "data": "not a keyword"}), Outgoing(b"")]
    assert publisher_of(client).publish(TOPIC, messages) == ["m-0", "m-1"]
    (request,) = client.requests
    assert request["topic"] == "projects/p/topics/pmp-sensor-events"
    sent = [(m.data, dict(m.attributes)) for m in request["messages"]]
    assert sent == [(b"a", {"x": "é", "data": "not a keyword"}), (b"", {})]


def test_nothing_to_publish_asks_nothing():
    client = Client()
    assert publisher_of(client).publish(TOPIC, []) == []
    assert client.timeouts == []


@pytest.mark.parametrize("fault", [exceptions.ServiceUnavailable("x"), exceptions.DeadlineExceeded("x")])
def test_a_transient_fault_is_tried_again(fault):
    client = Client([fault])
    assert publisher_of(client).publish(TOPIC, [Outgoing(b"a")]) == ["m-0"]


@pytest.mark.parametrize(
    "fault",
    [
        exceptions.NotFound("x"),
        exceptions.PermissionDenied("x"),
        exceptions.InvalidArgument("x"),
        TransportError(),
    ],
)
def test_a_lasting_fault_is_not_tried_again(fault):
    client = Client([fault])
    with pytest.raises(PublishFailed, match=f"pmp-sensor-events: {type(fault).__name__}"):
        publisher_of(client).publish(TOPIC, [Outgoing(b"a")])
    assert len(client.timeouts) == 1


def test_retries_end_with_the_time():
    client = Client([exceptions.ServiceUnavailable("x")] * 1000)
    with pytest.raises(PublishFailed, match="RetryError"):
        publisher_of(client, timeout_s=0.05).publish(TOPIC, [Outgoing(b"a")])


def test_all_requests_of_a_publish_share_its_time():
    client = Client(seconds_per_call=4.0)
    messages = [Outgoing(b"")] * (3 * MAX_MESSAGES)
    assert len(publisher_of(client, timeout_s=10.0).publish(TOPIC, messages)) == 3 * MAX_MESSAGES
    assert client.timeouts == [5.0, 3.0, 1.0]
    with pytest.raises(PublishFailed, match="no time left"):
        publisher_of(client, timeout_s=8.0).publish(TOPIC, messages)


def test_an_answer_with_too_few_ids_confirms_nothing():
    with pytest.raises(PublishFailed, match="1 of 2 messages confirmed"):
        publisher_of(Client(ids_lost=1)).publish(TOPIC, [Outgoing(b"a"), Outgoing(b"b")])


def test_batches_keep_to_the_limits_and_the_order():
    many = [Outgoing(b"%d" % n) for n in range(MAX_MESSAGES + 1)]
    assert [len(batch) for batch in batches(many)] == [MAX_MESSAGES, 1]
    assert [message for batch in batches(many) for message in batch] == many
    half = Outgoing(bytes(MAX_BYTES // 2))
    assert [len(batch) for batch in batches([half] * 5)] == [2, 2, 1]


def test_attributes_count_as_bytes():
    heavy = Outgoing(b"", {"a": "x" * (MAX_BYTES // 2)})
    assert [len(batch) for batch in batches([heavy, heavy])] == [1, 1]


def test_a_message_above_the_limit_goes_alone():
    assert [len(b) for b in batches([Outgoing(b"a"), Outgoing(bytes(MAX_BYTES + 1)), Outgoing(b"b")])] == [
        1,
        1,
        1,
    ]


def test_a_ping_asks_for_the_topic_without_patience():
    client = Client()
    publisher_of(client).ping(TOPIC)
    assert client.asked == [("projects/p/topics/pmp-sensor-events", 2.0, None)]


def test_a_refusal_is_an_answer_to_a_ping():
    publisher_of(Client([exceptions.PermissionDenied("x")])).ping(TOPIC)


@pytest.mark.parametrize(
    "fault", [exceptions.NotFound("x"), exceptions.ServiceUnavailable("x"), TransportError()]
)
def test_a_ping_without_an_answer_fails(fault):
    with pytest.raises(PublishFailed, match="pmp-sensor-events"):
        publisher_of(Client([fault])).ping(TOPIC)


def test_an_ops_event_is_a_cloud_event_in_both_modes():
    outgoing = ops_event("feed.polled", source="s", subject="velib", data={"n": 1}, new_id=lambda: "id-1")
    event = decode_ops_event(outgoing.data)
    assert (event.id, event.type, event.source, event.subject) == ("id-1", "feed.polled", "s", "velib")
    assert json.loads(bytes(event.data)) == {"n": 1}
    assert outgoing.attributes == {
        "ce-specversion": "1.0",
        "ce-id": "id-1",
        "ce-type": "feed.polled",
        "ce-source": "s",
        "ce-time": event.time,
    }


def test_confirmed_messages_are_counted_once_by_topic():
    client = Client()
    publisher = publisher_of(client)
    publisher.publish(TOPIC, [Outgoing(b"a"), Outgoing(b"b")])
    publisher.flush_counts()
    publisher.flush_counts()
    _, announced = client.requests
    assert announced["topic"] == OPS.path("p")
    (event,) = [json.loads(message.data) for message in announced["messages"]]
    assert (event["type"], event["subject"], event["data"]["messages"]) == (
        "publisher.counted",
        "pmp-sensor-events",
        2,
    )


def test_what_was_not_confirmed_is_not_counted():
    client = Client([exceptions.NotFound("x")])
    publisher = publisher_of(client)
    with pytest.raises(PublishFailed):
        publisher.publish(TOPIC, [Outgoing(b"a")])
    publisher.flush_counts()
    assert client.requests == []


def test_counts_that_cannot_be_published_are_kept():
    client = Client()
    publisher = publisher_of(client)
    publisher.publish(TOPIC, [Outgoing(b"a")])
    client.ids_lost = 1
    publisher.flush_counts()
    client.ids_lost = 0
    publisher.publish(TOPIC, [Outgoing(b"b")])
    publisher.flush_counts()
    _, lost, _, announced = client.requests
    assert [
        event["data"]["messages"] for event in map(json.loads, (m.data for m in announced["messages"]))
    ] == [1, 1]
    # It may have arrived: reconciliation counts an id once.
    assert announced["messages"][0].data == lost["messages"][0].data
