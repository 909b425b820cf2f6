"""The collector's ops events."""

import json

import pytest

from pmp_collector.poll import PollResult
from pmp_collector.poll_events import publish_polls
from pmp_runtime.pubsub.publisher import PubSubPublisher
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


def test_polls_that_cannot_be_published_are_one_line(publisher, client, caplog):
    client.down.add(OPS)
    publish_polls(publisher, RESULTS)
    assert [(record.message, record.polls) for record in caplog.records] == [("polls.unannounced", 3)]


def test_without_polls_nothing_is_published(publisher, client):
    publish_polls(publisher, [])
    assert client.published == []
