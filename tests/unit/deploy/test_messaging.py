from datetime import timedelta

import pytest
from google.pubsub_v1.types import ExpirationPolicy, PushConfig, RetryPolicy

from pmp_schema.topology import TOPOLOGY
from pmpctl.project.messaging import PushTarget, differing, wire_subscription

PUSH = PushTarget(base_url="http://writer:8082/")
PUSHED = TOPOLOGY.push_subscription("snapshots")
PULLED = next(s for s in TOPOLOGY.subscriptions if s.push_path is None and s.mode == "always")


def wire(subscription=PUSHED, *, push=PUSH, emulated=True):
    return wire_subscription(subscription, TOPOLOGY, project="p-1", push=push, emulated=emulated)


def test_push_subscription_carries_the_whole_policy():
    made = wire(emulated=False)
    assert made.push_config.push_endpoint == "http://writer:8082/push/snapshots"
    assert made.ack_deadline_seconds == 60
    assert made.message_retention_duration == timedelta(days=7)
    assert made.dead_letter_policy.dead_letter_topic == "projects/p-1/topics/pmp-dead-letters"
    assert made.dead_letter_policy.max_delivery_attempts == 100
    assert made.retry_policy == RetryPolicy(
        minimum_backoff=timedelta(seconds=10), maximum_backoff=timedelta(seconds=600)
    )


@pytest.mark.parametrize("subscription", TOPOLOGY.subscriptions, ids=lambda s: s.id)
def test_no_subscription_expires(subscription):
    made = wire(subscription)
    assert "expiration_policy" in made
    assert not made.expiration_policy.ttl


def test_emulator_gets_no_retry_policy():
    assert "retry_policy" not in wire(emulated=True)


def test_pull_subscription_has_no_policies():
    made = wire(PULLED, emulated=False)
    assert "dead_letter_policy" not in made
    assert "retry_policy" not in made
    assert made.push_config.push_endpoint == ""


def test_token_is_asked_for_where_an_account_signs():
    push = PushTarget(base_url="https://w", service_account="s@p", audience="pmp-writer")
    assert wire(push=push).push_config.oidc_token == PushConfig.OidcToken(
        service_account_email="s@p", audience="pmp-writer"
    )


def test_equal_subscriptions_do_not_differ():
    assert differing(wire(emulated=False), wire(emulated=False)) == []


def test_what_the_service_adds_is_no_difference():
    existing = wire()
    existing.push_config.attributes["x-goog-version"] = "v1"
    existing.labels["team"] = "x"
    assert differing(existing, wire()) == []


def test_every_drift_is_named():
    existing = wire(emulated=False)
    existing.ack_deadline_seconds = 10
    existing.dead_letter_policy.max_delivery_attempts = 5
    existing.expiration_policy = ExpirationPolicy(ttl=timedelta(days=31))
    existing.push_config.push_endpoint = "http://elsewhere/push/snapshots"
    existing.retry_policy = RetryPolicy()
    existing.message_retention_duration = timedelta(days=1)
    assert sorted(differing(existing, wire(emulated=False))) == [
        "ack_deadline_seconds",
        "dead_letter_policy",
        "expiration_policy",
        "message_retention_duration",
        "push_config",
        "retry_policy",
    ]
