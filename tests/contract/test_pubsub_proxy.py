"""The fault proxy before a fake Pub/Sub, used by the publisher that the services use."""

import json
import threading

import grpc
import pytest
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema.errors import PublishFailed
from pmp_schema.topology import TOPOLOGY
from tests.fakes.faults import Delay, FewerIds, Hold, LoseAnswer, Refuse, Twice
from tests.fakes.pubsub_proxy import THREADS, PubSubProxy
from tests.fakes.pubsub_server import pubsub_server

TOPIC = TOPOLOGY.topics["sensor-events"]


@pytest.fixture
def upstream():
    with pubsub_server() as server:
        yield server


@pytest.fixture
def proxy(upstream):
    with PubSubProxy(upstream.address) as running:
        yield running


def publisher_of(address, timeout_s=5.0):
    channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
    client = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
    return PubSubPublisher(client, "pmp-test", source="test", timeout_s=timeout_s)


@pytest.fixture
def publisher(proxy):
    return publisher_of(proxy.address)


def publish(publisher, *bodies):
    return publisher.publish(TOPIC, [Outgoing(body, {"n": "1"}) for body in bodies])


def bodies(upstream):
    return [message.data for _, message in upstream.published]


def test_without_a_fault_bytes_and_attributes_pass_unchanged(proxy, publisher, upstream):
    assert publish(publisher, b"\x00\xff", b"b" * 3_000_000) == ["0", "1"]
    assert bodies(upstream) == [b"\x00\xff", b"b" * 3_000_000]
    assert [dict(message.attributes) for _, message in upstream.published] == [{"n": "1"}] * 2
    assert (proxy.faults.done, proxy.forwarded) == ({"Through": 1}, {"Publish": 1})


def test_a_refused_publish_is_tried_again_by_the_client(proxy, publisher, upstream):
    proxy.faults.next += [Refuse(), Refuse()]
    assert publish(publisher, b"a") == ["0"]
    assert bodies(upstream) == [b"a"]
    assert proxy.faults.done == {"Refuse": 2, "Through": 1}


def test_an_outage_refuses_until_it_ends(proxy, upstream):
    publisher = publisher_of(proxy.address, timeout_s=0.5)
    with proxy.faults.outage(), pytest.raises(PublishFailed):
        publish(publisher, b"lost")
    assert bodies(upstream) == []
    publish(publisher, b"a")
    assert bodies(upstream) == [b"a"]


def test_a_lost_answer_makes_the_client_publish_a_duplicate(proxy, publisher, upstream):
    proxy.faults.next.append(LoseAnswer())
    assert publish(publisher, b"a") == ["0"]
    assert bodies(upstream) == [b"a", b"a"]
    publisher.flush_counts()
    assert json.loads(bodies(upstream)[-1])["data"]["messages"] == 1


def test_a_publish_is_duplicated_unknown_to_the_client(proxy, publisher, upstream):
    proxy.faults.rule = lambda call: Twice()
    assert publish(publisher, b"a") == ["0"]
    assert bodies(upstream) == [b"a", b"a"]
    assert (proxy.faults.done, proxy.forwarded) == ({"Twice": 1}, {"Publish": 2})


@pytest.mark.parametrize(("fewer", "confirmed"), [(1, 2), (3, 0), (9, 0)])
def test_fewer_ids_than_messages_are_a_failed_publish(proxy, publisher, upstream, fewer, confirmed):
    proxy.faults.next.append(FewerIds(fewer))
    with pytest.raises(PublishFailed, match=f"{confirmed} of 3 messages confirmed"):
        publish(publisher, b"a", b"b", b"c")
    assert len(upstream.published) == 3


def test_a_delay_above_the_deadline_publishes_nothing_late(proxy, upstream):
    proxy.faults.rule = lambda call: Delay(1.0)
    with pytest.raises(PublishFailed):
        publish(publisher_of(proxy.address, timeout_s=0.3), b"a")
    proxy.stop()  # waits for the delays
    assert bodies(upstream) == []


def test_a_held_publish_is_overtaken(proxy, publisher, upstream):
    proxy.faults.next.append(Hold())
    held = threading.Thread(target=publish, args=(publisher, b"first"))
    held.start()
    proxy.faults.await_held(1)
    publish(publisher, b"second")
    assert proxy.faults.release() == 1
    held.join(10)
    assert bodies(upstream) == [b"second", b"first"]


def test_a_rule_may_look_at_the_request(proxy, publisher, upstream):
    proxy.faults.rule = lambda call: Twice() if b"twice" in call.request else None
    publish(publisher, b"once")
    publish(publisher, b"twice")
    assert bodies(upstream) == [b"once", b"twice", b"twice"]


def test_an_error_of_the_upstream_is_handed_on(proxy, publisher):
    with pytest.raises(PublishFailed, match="MethodNotImplemented"):
        publisher.ping(TOPIC)  # the fake knows Publish alone
    assert proxy.forwarded == {"GetTopic": 1}
    assert not proxy.faults.done, "faults are for the chosen methods only"


def test_a_stopped_proxy_is_back_on_the_same_port(proxy, publisher, upstream):
    port = proxy.port
    proxy.stop()
    with pytest.raises(PublishFailed):
        publish(publisher_of(proxy.address, timeout_s=0.5), b"lost")
    proxy.start()
    assert proxy.port == port
    publish(publisher, b"a")
    assert bodies(upstream) == [b"a"]


def test_the_end_drops_what_is_held_and_leaves_no_thread(upstream):
    failed = []

    def publish_held(publisher):
        try:
            publish(publisher, b"held")
        except PublishFailed as error:
            failed.append(error)

    with PubSubProxy(upstream.address) as proxy:
        proxy.faults.rule = lambda call: Hold()
        held = threading.Thread(target=publish_held, args=(publisher_of(proxy.address, timeout_s=1),))
        held.start()
        proxy.faults.await_held(1)
    held.join(10)
    assert len(failed) == 1
    assert bodies(upstream) == []
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(THREADS)]
