"""The collector's ops events."""

import json

import pytest

from pmp_collector.poll import PollResult
from pmp_collector.poll_events import publish_polls
from pmp_runtime.pubsub.publisher import Outgoing, PubSubPublisher
from pmp_schema.topology import TOPOLOGY
from tests.fakes.feeds import FakePublisherClient

OPS = "pmp-ops-events"
RESULTS = [
    PollResult(system="a", feed="station_status", outcome="published", stations=2, message_id="m-0"),
    PollResult(system="b", feed="station_status", outcome="unchanged", detail="same body"),
    PollResult(system="c", feed="station_status", outcome="failed", detail="HTTP 503"),
]


@pytest.fixture
def client() -> FakePublisherClient:
    return FakePublisherClient()


@pytest.fixture
def publisher(client) -> PubSubPublisher:
    return PubSubPublisher(client, "pmp-local", timeout_s=0.05)


def events_of(client: FakePublisherClient, event_type: str) -> list[dict]:
    events = [json.loads(message.data) for topic, message in client.published if topic == OPS]
    return [event for event in events if event["type"] == event_type]


def test_every_poll_is_an_event_whatever_came_of_it(publisher, client):
    publish_polls(publisher, RESULTS)
    events = events_of(client, "feed.polled")
    assert [(event["subject"], event["data"]) for event in events] == [
        (result.system, result.as_json()) for result in RESULTS
    ]
    assert {(event["specversion"], event["source"]) for event in events} == {("1.0", "pmp-collector")}
    assert len({event["id"] for event in events}) == 3


def test_what_was_published_is_counted_once(publisher, client):
    publisher.publish(TOPOLOGY.topics["snapshots"], [Outgoing(b"1"), Outgoing(b"2")])
    publish_polls(publisher, [])
    publish_polls(publisher, [])
    (counted,) = events_of(client, "publisher.counted")
    assert (counted["subject"], counted["data"]["messages"]) == ("pmp-events", 2)


def test_counts_outlive_an_outage_of_the_ops_topic(publisher, client, caplog):
    publisher.publish(TOPOLOGY.topics["snapshots"], [Outgoing(b"1")])
    client.down.add(OPS)
    publish_polls(publisher, RESULTS)
    publish_polls(publisher, [])
    client.down.clear()
    publisher.publish(TOPOLOGY.topics["snapshots"], [Outgoing(b"2")])
    publish_polls(publisher, RESULTS[:1])
    assert sum(event["data"]["messages"] for event in events_of(client, "publisher.counted")) == 2
    assert [event["subject"] for event in events_of(client, "feed.polled")] == ["a"]
    # The first call did not try the topic a second time for its counts.
    assert [record.message for record in caplog.records] == ["polls.unannounced", "counts.postponed"]
    assert caplog.records[0].polls == 3


def test_without_polls_and_messages_nothing_is_published(publisher, client):
    publish_polls(publisher, [])
    assert client.published == []
