from datetime import timedelta

import pytest

from pmp_schema.topology import TOPOLOGY
from pmpctl.project.messaging import wire_subscription

PUSHED = TOPOLOGY.push_subscription("snapshots")
PULLED = next(s for s in TOPOLOGY.subscriptions if s.push_path is None and s.mode == "always")


def wire(subscription=PUSHED):
    return wire_subscription(subscription, TOPOLOGY, project="p-1", push_url="http://writer:8082/")


def test_push_subscription_carries_the_policy_but_no_retries():
    made = wire()
    assert made.push_config.push_endpoint == "http://writer:8082/push/snapshots"
    assert made.ack_deadline_seconds == 60
    assert made.message_retention_duration == timedelta(days=7)
    assert made.dead_letter_policy.dead_letter_topic == "projects/p-1/topics/pmp-dead-letters"
    assert made.dead_letter_policy.max_delivery_attempts == 100
    assert "retry_policy" not in made


@pytest.mark.parametrize("subscription", TOPOLOGY.subscriptions, ids=lambda s: s.id)
def test_no_subscription_expires(subscription):
    made = wire(subscription)
    assert "expiration_policy" in made
    assert not made.expiration_policy.ttl


def test_pull_subscription_has_no_policies():
    made = wire(PULLED)
    assert "dead_letter_policy" not in made
    assert made.push_config.push_endpoint == ""
