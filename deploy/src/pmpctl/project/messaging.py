"""Topics and subscriptions on a Pub/Sub emulator, from the topology; in the cloud Terraform makes them."""

from collections.abc import Callable
from datetime import timedelta

from google.api_core.exceptions import AlreadyExists
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import DeadLetterPolicy, ExpirationPolicy, PushConfig
from google.pubsub_v1.types import Subscription as WireSubscription
from google.pubsub_v1.types import Topic as WireTopic

from pmp_schema.topology import Mode, Subscription, Topology
from pmpctl.google_errors import readable_failures
from pmpctl.project.changes import CALL_TIMEOUT_S, RETRY, Change


def prepare_messaging(
    publisher: PublisherClient,
    subscriber: SubscriberClient,
    topology: Topology,
    *,
    project: str,
    push_url: str,
    modes: frozenset[Mode],
) -> tuple[Change, ...]:
    """Creates missing topics, and missing subscriptions of some modes; corrects push endpoints.

    Args:
        push_url: base URL of the writer, without a path.

    Raises:
        CommandError: Pub/Sub refused or did not answer in time.
    """
    with readable_failures("Pub/Sub"):
        changes = [
            Change("created", f"topic {topic.id}")
            for topic in topology.topics.values()
            if _is_created(publisher.create_topic, WireTopic(name=topic.path(project)))
        ]
        for subscription in topology.subscriptions:
            if subscription.mode not in modes:
                continue
            wanted = wire_subscription(subscription, topology, project=project, push_url=push_url)
            if _is_created(subscriber.create_subscription, wanted):
                changes.append(Change("created", f"subscription {subscription.id}"))
            elif _is_moved(subscriber, wanted):
                changes.append(Change("changed", f"subscription {subscription.id}: push_config"))
    return tuple(changes)


def wire_subscription(
    subscription: Subscription, topology: Topology, *, project: str, push_url: str
) -> WireSubscription:
    """The subscription as Pub/Sub's API takes it; it never expires.

    It has no retry policy: with one, the emulator stops delivering after about three nacks.
    """
    policy = topology.push_policy
    wire = WireSubscription(
        name=subscription.path(project),
        topic=subscription.topic.path(project),
        ack_deadline_seconds=policy.ack_deadline_s,
        message_retention_duration=timedelta(seconds=subscription.retention_s),
        expiration_policy=ExpirationPolicy(),
    )
    if subscription.push_path is not None:
        wire.push_config = PushConfig(push_endpoint=push_url.rstrip("/") + subscription.push_path)
    if subscription.dead_letter:
        wire.dead_letter_policy = DeadLetterPolicy(
            dead_letter_topic=topology.topics["dead-letters"].path(project),
            max_delivery_attempts=policy.max_delivery_attempts,
        )
    return wire


def _is_created(create: Callable[..., object], wanted: WireTopic | WireSubscription) -> bool:
    """Creates it; false if it exists."""
    try:
        create(request=wanted, timeout=CALL_TIMEOUT_S, retry=RETRY)
    except AlreadyExists:
        return False
    return True


def _is_moved(subscriber: SubscriberClient, wanted: WireSubscription) -> bool:
    """Corrects the push endpoint; false if it was right."""
    found = subscriber.get_subscription(subscription=wanted.name, timeout=CALL_TIMEOUT_S, retry=RETRY)
    if found.push_config.push_endpoint == wanted.push_config.push_endpoint:
        return False
    subscriber.modify_push_config(
        subscription=wanted.name, push_config=wanted.push_config, timeout=CALL_TIMEOUT_S, retry=RETRY
    )
    return True
