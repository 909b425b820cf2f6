"""Four faults of the direct runner's Pub/Sub read (Beam 2.77) that a long-running local pipeline meets, mended.

1. It acknowledges what it has pulled before anything is processed: what is in flight when the process ends is lost.
   Here a message is acknowledged at the next pull, which this runner begins when all work on the last one is done.
2. Its client keeps gRPC's limit of 4 MB and takes ten messages at once: a backlog of snapshots ends the pipeline.
3. An idle pull blocks the runner's only thread for half a minute: timers, the first element of an Impulse and the end
   of the pipeline wait for it.
4. Three minutes without Pub/Sub end the pipeline.

Each can go as soon as the runner does the same itself. Dataflow has its own read and none of this.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
from apache_beam.runners.direct.executor import _CompletionCallback
from apache_beam.runners.direct.transform_evaluator import _PubSubReadEvaluator
from google.api_core import exceptions
from google.pubsub_v1 import PullResponse, SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

logger = logging.getLogger(__name__)

_PULL_S: Final = 2.0
_ACKNOWLEDGE_S: Final = 5.0
_PAUSE_S: Final = 1.0


class DirectSubscriber:
    """Stands in for the client with which the direct runner pulls and acknowledges.

    Args:
        client: a generated `SubscriberClient`.
        pull_s: how long a pull waits for a message.
    """

    def __init__(
        self, client: Any, *, pull_s: float = _PULL_S, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._pull_s = pull_s
        self._sleep = sleep
        self._processed: dict[str, list[str]] = {}
        self._failed = threading.Event()

    def fail(self) -> None:
        """A bundle was given up and the pipeline is about to end: acknowledge nothing any more."""
        self._failed.set()

    def pull(self, *, subscription: str, max_messages: int, **_: Any) -> Any:
        """What there is within some seconds; nothing while Pub/Sub does not answer."""
        if self._failed.is_set():
            return PullResponse()
        self._settle(subscription)
        try:
            return self._client.pull(
                subscription=subscription, max_messages=max_messages, timeout=self._pull_s, retry=None
            )
        except exceptions.DeadlineExceeded:
            return PullResponse()
        except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.Cancelled) as error:
            logger.warning("pull.failed", extra={"cause": type(error).__name__})
            self._sleep(_PAUSE_S)
            return PullResponse()

    def acknowledge(self, *, subscription: str, ack_ids: Sequence[str]) -> None:
        """Called by the runner before it processes the messages: remembered until it pulls again."""
        self._processed.setdefault(subscription, []).extend(ack_ids)

    def _settle(self, subscription: str) -> None:
        ack_ids = self._processed.pop(subscription, [])
        if not ack_ids:
            return
        try:
            self._client.acknowledge(
                subscription=subscription, ack_ids=ack_ids, timeout=_ACKNOWLEDGE_S, retry=None
            )
        except exceptions.GoogleAPICallError as error:
            # They come again, as any message may.
            logger.warning(
                "messages.not_acknowledged",
                extra={"cause": type(error).__name__, "messages": len(ack_ids)},
            )


def install(emulator_host: str | None) -> None:
    """Makes this process's direct runners read with a `DirectSubscriber`; call it once, before they run.

    Args:
        emulator_host: `host:port`, or None for Google.
    """
    subscriber = DirectSubscriber(_client(emulator_host))
    handle_exception: Any = _CompletionCallback.handle_exception

    def get_subscriber_client(_: type, __: Any) -> DirectSubscriber:
        return subscriber

    def handle_and_stop(self: _CompletionCallback, *args: Any) -> None:
        subscriber.fail()
        handle_exception(self, *args)

    for owner, name, replacement in (
        (_PubSubReadEvaluator, "_get_subscriber_client", classmethod(get_subscriber_client)),
        (_CompletionCallback, "handle_exception", handle_and_stop),
    ):
        setattr(owner, name, replacement)


def _client(emulator_host: str | None) -> SubscriberClient:
    if emulator_host is None:
        return SubscriberClient()
    channel = grpc.insecure_channel(emulator_host, options=[("grpc.max_receive_message_length", -1)])
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
