"""Which of the two writes the sensor events: pushes to the writer, or Beam's `ingest_events` at high volume.

A switch loses nothing and needs no backlog metric. The new subscription is created first; what is published from then
on is in both, and the unique view removes the doubles. The old one is deleted only when nothing older is left in it:
it is turned into a pull subscription, so that no push begins, and after the handlers' time is over it is looked
through. Messages that both have are acknowledged, an older one goes back, and the pushes to their work.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from google.api_core.exceptions import DeadlineExceeded, NotFound
from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.types import PushConfig, ReceivedMessage
from google.pubsub_v1.types import Subscription as WireSubscription

from pmp_schema.topology import Subscription, Topology
from pmpctl.errors import CommandError
from pmpctl.project.changes import CALL_TIMEOUT_S, RETRY
from pmpctl.project.messaging import PushTarget, wire_subscription
from pmpctl.target import Ingestion

TOPIC: Final = "sensor-events"
CLOCK_SLACK: Final = timedelta(seconds=5)  # between this clock and Pub/Sub's
PULL_TIMEOUT_S: Final = 5.0
_BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long the switch waits.

    Attributes:
        handler_s: until every push that was under way has its answer, and a refused one is due again.
        retry_s: for the consumer to work on what is still in the old subscription.
        timeout_s: for all of it; the old subscription stays then, and so does every message.
        clock_slack_s: between this clock and Pub/Sub's.
    """

    handler_s: float
    retry_s: float = 15.0
    timeout_s: float = 2400.0
    clock_slack_s: float = CLOCK_SLACK.total_seconds()


@dataclass(frozen=True, slots=True)
class Switch:
    """Args:
    push: where push subscriptions deliver.
    emulated: Pub/Sub's emulator gets no retry policy.
    tell: what is being done, for a person.
    """

    subscriber: SubscriberClient
    topology: Topology
    project: str
    push: PushTarget
    emulated: bool
    pace: Pace
    tell: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def plan(self, wanted: Ingestion) -> list[str]:
        """What a switch would do to subscriptions, a line each; nothing where it is as wanted.

        Raises:
            GoogleAPIError: Pub/Sub refused or did not answer in time.
        """
        new, old = self._both(wanted)
        made = [f"create {new.id}"] if self._find(new) is None else []
        ended = f"delete {old.id}, when only messages are left in it that {new.id} has too"
        return made + ([ended] if self._find(old) is not None else [])

    def to(self, wanted: Ingestion) -> None:
        """Makes `wanted` the only way; does what is left of a switch that was broken off.

        Raises:
            CommandError: the old subscription still has messages after the time-out.
            GoogleAPIError: Pub/Sub refused or did not answer in time.
        """
        new, old = self._both(wanted)
        both_since = self._create(new)
        if self._find(old) is None:
            self.tell(f"{old.id} does not exist: {wanted} it is")
            return
        deadline = self.now() + timedelta(seconds=self.pace.timeout_s)
        while not self._is_done_with(old, both_since):
            if self.now() >= deadline:
                raise CommandError(
                    f"{old.id} still has messages: is its consumer running? Nothing is lost; try again"
                )
            self.tell(
                f"{old.id} has messages from before the switch; its consumer goes on for {self.pace.retry_s:g} s"
            )
            self.sleep(self.pace.retry_s)
        self.subscriber.delete_subscription(
            subscription=old.path(self.project), timeout=CALL_TIMEOUT_S, retry=RETRY
        )
        self.tell(f"deleted {old.id}")

    def _both(self, wanted: Ingestion) -> tuple[Subscription, Subscription]:
        """The subscription that shall be, and the one that shall not."""
        ours = [s for s in self.topology.subscriptions if s.topic.key == TOPIC]
        return (
            next(s for s in ours if (s.push_path is None) is (wanted is Ingestion.HIGH_VOLUME)),
            next(s for s in ours if (s.push_path is None) is (wanted is Ingestion.PUSH)),
        )

    def _create(self, subscription: Subscription) -> datetime:
        """Returns a time from which on every message is in it, by Pub/Sub's clock."""
        if self._find(subscription) is None:
            self.subscriber.create_subscription(
                request=self._wire(subscription), timeout=CALL_TIMEOUT_S, retry=RETRY
            )
            self.tell(f"created {subscription.id}")
        since = self.now() + timedelta(seconds=self.pace.clock_slack_s)
        self.sleep(self.pace.clock_slack_s)
        return since

    def _find(self, subscription: Subscription) -> WireSubscription | None:
        try:
            return self.subscriber.get_subscription(
                subscription=subscription.path(self.project), timeout=CALL_TIMEOUT_S, retry=RETRY
            )
        except NotFound:
            return None

    def _wire(self, subscription: Subscription) -> WireSubscription:
        return wire_subscription(
            subscription, self.topology, project=self.project, push=self.push, emulated=self.emulated
        )

    def _is_done_with(self, old: Subscription, both_since: datetime) -> bool:
        """Whether only messages are left in it that the other subscription has too; else it works as before."""
        done = False
        self._push(old, PushConfig())
        try:
            done = self._has_only_doubles(old, both_since)
        finally:  # also where Pub/Sub does not answer, and on Ctrl-C
            if not done:
                self._push(old, self._wire(old).push_config)
        return done

    def _has_only_doubles(self, old: Subscription, both_since: datetime) -> bool:
        self.tell(f"waiting {self.pace.handler_s:g} s for what is under way in {old.id}")
        self.sleep(self.pace.handler_s)
        while received := self._pull(old):
            older = [r for r in received if _published(r) < both_since]
            newer = [r for r in received if _published(r) >= both_since]
            path = old.path(self.project)
            if newer:
                self.subscriber.acknowledge(
                    subscription=path, ack_ids=_ids(newer), timeout=CALL_TIMEOUT_S, retry=RETRY
                )
            if older:
                self.subscriber.modify_ack_deadline(
                    subscription=path,
                    ack_ids=_ids(older),
                    ack_deadline_seconds=0,
                    timeout=CALL_TIMEOUT_S,
                    retry=RETRY,
                )
                return False
        return True

    def _push(self, subscription: Subscription, config: PushConfig) -> None:
        if subscription.push_path is not None:
            self.subscriber.modify_push_config(
                subscription=subscription.path(self.project),
                push_config=config,
                timeout=CALL_TIMEOUT_S,
                retry=RETRY,
            )

    def _pull(self, subscription: Subscription) -> Sequence[ReceivedMessage]:
        try:
            answer = self.subscriber.pull(
                subscription=subscription.path(self.project),
                max_messages=_BATCH,
                timeout=PULL_TIMEOUT_S,
                retry=None,
            )
        except DeadlineExceeded:  # there is nothing
            return ()
        return list(answer.received_messages)


def _ids(received: Sequence[ReceivedMessage]) -> list[str]:
    return [one.ack_id for one in received]


def _published(received: ReceivedMessage) -> datetime:
    return received.message.publish_time  # type: ignore[return-value]  # proto-plus makes it a datetime
