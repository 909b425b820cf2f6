"""The mended read of the direct runner, over a client that records."""

from dataclasses import dataclass, field

import pytest
from google.api_core import exceptions
from google.pubsub_v1 import PullResponse

from pmp_beam.io.direct_subscriber import DirectSubscriber

SUBSCRIPTION = "projects/p/subscriptions/s"
ONE = PullResponse(received_messages=[{"ack_id": "a1", "message": {"data": b"1"}}])


@dataclass
class Client:
    """Attributes:
    answers: of the next pulls, an exception or a response; an empty one after the last.
    calls: (name, max_messages or ack_ids) in order.
    """

    answers: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    acknowledge_with: Exception | None = None

    def pull(self, *, subscription, max_messages, timeout, retry):
        assert (subscription, retry) == (SUBSCRIPTION, None)
        assert 0 < timeout < 10
        self.calls.append(("pull", max_messages))
        answer = self.answers.pop(0) if self.answers else PullResponse()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def acknowledge(self, *, subscription, ack_ids, timeout, retry):
        assert (subscription, retry) == (SUBSCRIPTION, None)
        assert 0 < timeout < 30
        self.calls.append(("acknowledge", list(ack_ids)))
        if self.acknowledge_with is not None:
            raise self.acknowledge_with


def subscriber_of(client):
    return DirectSubscriber(client, sleep=lambda _: client.calls.append(("sleep", None)))


def pull(subscriber):
    return subscriber.pull(subscription=SUBSCRIPTION, max_messages=10, timeout=30)


def test_messages_are_acknowledged_when_the_runner_comes_back_for_more():
    client = Client([ONE])
    subscriber = subscriber_of(client)
    assert pull(subscriber) == ONE
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=["a1"])
    assert client.calls == [("pull", 10)]
    pull(subscriber)
    pull(subscriber)
    assert client.calls[1:] == [("acknowledge", ["a1"]), ("pull", 10), ("pull", 10)]


def test_after_a_failed_bundle_nothing_is_acknowledged_and_nothing_taken():
    client = Client([ONE])
    subscriber = subscriber_of(client)
    pull(subscriber)
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=["a1"])
    subscriber.fail()
    assert pull(subscriber) == PullResponse()
    assert client.calls == [("pull", 10)]


def test_no_message_in_time_is_an_empty_pull():
    client = Client([exceptions.DeadlineExceeded("x")])
    assert pull(subscriber_of(client)) == PullResponse()
    assert client.calls == [("pull", 10)]


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ServiceUnavailable("x"),
        exceptions.InternalServerError("x"),
        exceptions.Unknown("x"),
        exceptions.ResourceExhausted("x"),
        exceptions.Cancelled("x"),
    ],
)
def test_an_outage_is_an_empty_pull_and_a_pause(error):
    client = Client([error, ONE])
    subscriber = subscriber_of(client)
    assert pull(subscriber) == PullResponse()
    assert pull(subscriber) == ONE
    assert client.calls == [("pull", 10), ("sleep", None), ("pull", 10)]


def test_a_missing_subscription_is_an_error():
    with pytest.raises(exceptions.NotFound):
        pull(subscriber_of(Client([exceptions.NotFound("x")])))


def test_an_acknowledgement_that_fails_is_not_the_end(caplog):
    client = Client(acknowledge_with=exceptions.ServiceUnavailable("x"))
    subscriber = subscriber_of(client)
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=["a1", "a2"])
    assert pull(subscriber) == PullResponse()
    (record,) = caplog.records
    assert (record.message, record.messages) == ("messages.not_acknowledged", 2)
