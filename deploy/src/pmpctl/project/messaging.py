"""Topics and subscriptions, from the topology to a project."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain

from google.api_core.exceptions import AlreadyExists, NotFound
from google.protobuf.field_mask_pb2 import FieldMask
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import (
    DeadLetterPolicy,
    ExpirationPolicy,
    PushConfig,
    RetryPolicy,
    UpdateSubscriptionRequest,
)
from google.pubsub_v1.types import Subscription as WireSubscription
from google.pubsub_v1.types import Topic as WireTopic

from pmp_schema.topology import Mode, Subscription, Topic, Topology
from pmpctl.project.changes import CALL_TIMEOUT_S, RETRY, Change, make


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTarget:
    """Where push subscriptions deliver.

    Attributes:
        base_url: of the writer, without a path.
        service_account: signs the pushes; None sends no token, as the emulator does anyway.
        audience: of the token.
    """

    base_url: str
    service_account: str | None = None
    audience: str = ""


def prepare_messaging(
    publisher: PublisherClient,
    subscriber: SubscriberClient,
    topology: Topology,
    *,
    project: str,
    push: PushTarget,
    modes: frozenset[Mode],
    emulated: bool,
    dry_run: bool = False,
) -> tuple[Change, ...]:
    """Makes the topics and the subscriptions of some modes; corrects subscriptions that differ.

    Raises:
        GoogleAPIError: Pub/Sub refused or did not answer in time.
    """
    wanted = [
        wire_subscription(s, topology, project=project, push=push, emulated=emulated)
        for s in topology.subscriptions
        if s.mode in modes
    ]
    topics = (change for topic in topology.topics.values() for change in _topic(publisher, topic, project))
    subscriptions = (change for one in wanted for change in _subscription(subscriber, one))
    return make(chain(topics, subscriptions), dry_run=dry_run)


def wire_subscription(
    subscription: Subscription, topology: Topology, *, project: str, push: PushTarget, emulated: bool
) -> WireSubscription:
    """The subscription as Pub/Sub's API takes it; it never expires.

    The emulator gets no retry policy: with one, it stops delivering after about three nacks.
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
        wire.push_config = _push_config(push, subscription.push_path)
        if not emulated:
            wire.retry_policy = RetryPolicy(
                minimum_backoff=timedelta(seconds=policy.min_backoff_s),
                maximum_backoff=timedelta(seconds=policy.max_backoff_s),
            )
    if subscription.dead_letter:
        wire.dead_letter_policy = DeadLetterPolicy(
            dead_letter_topic=topology.topics["dead-letters"].path(project),
            max_delivery_attempts=policy.max_delivery_attempts,
        )
    return wire


def differing(existing: WireSubscription, wanted: WireSubscription) -> list[str]:
    """Names of the fields to correct. The service adds fields of its own, so only ours are compared."""
    fields = ["ack_deadline_seconds", "message_retention_duration", "dead_letter_policy", "retry_policy"]
    names = [name for name in fields if getattr(existing, name) != getattr(wanted, name)]
    if existing.expiration_policy.ttl:
        names.append("expiration_policy")
    old, new = existing.push_config, wanted.push_config
    if (old.push_endpoint, old.oidc_token) != (new.push_endpoint, new.oidc_token):
        names.append("push_config")
    return names


def _push_config(push: PushTarget, path: str) -> PushConfig:
    config = PushConfig(push_endpoint=push.base_url.rstrip("/") + path)
    if push.service_account is not None:
        config.oidc_token = PushConfig.OidcToken(
            service_account_email=push.service_account, audience=push.audience
        )
    return config


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
    if existing.topic != wanted.topic:
        yield Change("differs", f"{what} reads {existing.topic}; delete it to have it on {wanted.topic}")
        return
    names = differing(existing, wanted)
    if names:
        request = UpdateSubscriptionRequest(subscription=wanted, update_mask=FieldMask(paths=names))
        update = partial(subscriber.update_subscription, request=request, timeout=CALL_TIMEOUT_S, retry=RETRY)
        yield Change("changed", f"{what}: {', '.join(names)}", update)


def _unless_there(create: Callable[[], object]) -> None:
    """Somebody else may have been faster."""
    with suppress(AlreadyExists):
        create()
