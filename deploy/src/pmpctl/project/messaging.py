"""Topics and subscriptions on a Pub/Sub emulator, from the topology; in the cloud Terraform makes them."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import chain

from google.api_core.exceptions import AlreadyExists, NotFound
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import DeadLetterPolicy, ExpirationPolicy, PushConfig
from google.pubsub_v1.types import Subscription as WireSubscription
from google.pubsub_v1.types import Topic as WireTopic

from pmp_schema.topology import Mode, Subscription, Topic, Topology
from pmpctl.project.changes import CALL_TIMEOUT_S, RETRY, Change, make


def prepare_messaging(
    publisher: PublisherClient,
    subscriber: SubscriberClient,
    topology: Topology,
    *,
    project: str,
    push_url: str,
    modes: frozenset[Mode],
) -> tuple[Change, ...]:
    """Creates missing topics, and missing subscriptions of some modes; moves push endpoints that differ.

    Args:
        push_url: base URL of the writer, without a path.

    Raises:
        GoogleAPIError: Pub/Sub refused or did not answer in time.
    """
    wanted = [
        wire_subscription(s, topology, project=project, push_url=push_url)
        for s in topology.subscriptions
        if s.mode in modes
    ]
    topics = (change for topic in topology.topics.values() for change in _topic(publisher, topic, project))
    subscriptions = (change for one in wanted for change in _subscription(subscriber, one))
    return make(chain(topics, subscriptions), dry_run=False)


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


def _topic(publisher: PublisherClient, topic: Topic, project: str) -> Iterator[Change]:
    wanted = WireTopic(name=topic.path(project))
    try:
        publisher.get_topic(topic=wanted.name, timeout=CALL_TIMEOUT_S, retry=RETRY)
    except NotFound:
        create = partial(publisher.create_topic, request=wanted, timeout=CALL_TIMEOUT_S, retry=RETRY)
        yield Change("created", f"topic {topic.id}", partial(_unless_there, create))


def _subscription(subscriber: SubscriberClient, wanted: WireSubscription) -> Iterator[Change]:
    what = f"subscription {wanted.name.rsplit('/', 1)[-1]}"
    try:
        existing = subscriber.get_subscription(subscription=wanted.name, timeout=CALL_TIMEOUT_S, retry=RETRY)
    except NotFound:
        create = partial(subscriber.create_subscription, request=wanted, timeout=CALL_TIMEOUT_S, retry=RETRY)
        yield Change("created", what, partial(_unless_there, create))
        return
    if existing.push_config.push_endpoint != wanted.push_config.push_endpoint:
        move = partial(
            subscriber.modify_push_config,
            subscription=wanted.name,
            push_config=wanted.push_config,
            timeout=CALL_TIMEOUT_S,
            retry=RETRY,
        )
        yield Change("changed", f"{what}: push_config", move)


def _unless_there(create: Callable[[], object]) -> None:
    """Another process may have created it in the meantime."""
    with suppress(AlreadyExists):
        create()
