"""Leases of pulled messages: extended in the background until they are acknowledged or returned."""

import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Final, Self

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import SubscriberClient

from pmp_runtime.retry import retrying
from pmp_schema.errors import RetryableError

logger = logging.getLogger(__name__)

MAX_ACK_IDS: Final = 1000  # a request takes 512 KiB; https://cloud.google.com/pubsub/quotas
FAILURES: Final = (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError)


class HoldUnavailable(RetryableError):
    """Pub/Sub does not answer for the hold subscription."""


class Leases:
    """The leases of one replay, by dead letter; one dead letter may arrive in several messages.

    Args:
        subscription: full path.
        lease_s: length of a lease; it is extended every third of that time.
        timeout_s: seconds for one request, retries included.
    """

    def __init__(
        self, client: SubscriberClient, subscription: str, *, lease_s: float, timeout_s: float
    ) -> None:
        self._client = client
        self._subscription = subscription
        self._lease_s = lease_s
        self._timeout_s = timeout_s
        self._retry = retrying(timeout_s)
        self._held: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._extender = threading.Thread(target=self._keep, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._extender.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Returns everything at once; if that fails, Pub/Sub redelivers when the leases expire."""
        self._ended.set()
        self._extender.join()
        self._modify(self._ack_ids(), 0)

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)

    def take(self, pulled: Iterable[tuple[str, str, str]]) -> None:
        """Keeps (letter id, message id, ack id) leased from now on."""
        new = list(pulled)
        with self._lock:
            for letter_id, message_id, ack_id in new:
                self._held.setdefault(letter_id, {})[message_id] = ack_id
        self._modify([ack_id for _, _, ack_id in new], self._lease_s)

    def acknowledge(self, letter_ids: Collection[str]) -> None:
        """Removes dead letters from the subscription.

        Raises:
            HoldUnavailable: some of them may be delivered again.
        """
        with self._lock:
            ack_ids = [
                ack_id for letter_id in letter_ids for ack_id in self._held.get(letter_id, {}).values()
            ]
        for some in _parts(ack_ids):
            try:
                self._client.acknowledge(
                    subscription=self._subscription,
                    ack_ids=list(some),
                    retry=self._retry,
                    timeout=self._timeout_s,
                )
            except FAILURES as error:
                raise HoldUnavailable(f"not acknowledged: {type(error).__name__}") from error
        with self._lock:
            for letter_id in letter_ids:
                self._held.pop(letter_id, None)

    def _keep(self) -> None:
        while not self._ended.wait(self._lease_s / 3):
            self._modify(self._ack_ids(), self._lease_s)

    def _ack_ids(self) -> list[str]:
        with self._lock:
            return [ack_id for messages in self._held.values() for ack_id in messages.values()]

    def _modify(self, ack_ids: Sequence[str], deadline_s: float) -> None:
        """A failure is only logged: it costs a second delivery at most, which the replay recognises."""
        for some in _parts(ack_ids):
            try:
                self._client.modify_ack_deadline(
                    subscription=self._subscription,
                    ack_ids=list(some),
                    ack_deadline_seconds=int(deadline_s),
                    retry=self._retry.with_timeout(self._lease_s / 3),
                    timeout=self._lease_s / 3,
                )
            except FAILURES as error:
                logger.warning(
                    "leases.unmodified", extra={"cause": type(error).__name__, "messages": len(some)}
                )


def _parts(ack_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ack_ids[start : start + MAX_ACK_IDS] for start in range(0, len(ack_ids), MAX_ACK_IDS))
