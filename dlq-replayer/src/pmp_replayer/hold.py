"""The hold subscription as the source of a replay: pulled, leased during the replay, acknowledged once replayed."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1 import SubscriberClient

from pmp_replayer.dead_letter import Letter, from_message
from pmp_replayer.decision import REPLAY_ID
from pmp_replayer.leases import FAILURES, HoldUnavailable, Leases
from pmp_schema.message import Message
from pmp_schema.topology import TOPOLOGY, Subscription

HOLD: Final[Subscription] = next(
    s for s in TOPOLOGY.subscriptions if s.topic.key == "dead-letters" and s.push_path is None
)
MAX_LEASED: Final = 50_000  # kept dead letters: their leases cost memory and requests
# Messages that arrive for a pull that was just given up stay leased to nobody: a few long pulls beat many short ones.
SHORTEST_PULL_S: Final = 2.0
LONGEST_PULL_S: Final = 5.0


class Hold:
    """The hold as one replay sees it; see `replay.Source`.

    Args:
        leases: entered by the caller; on exit they return everything that is not acknowledged.
        came_back: how many dead letters of the replay the table has again.
        idle_s: seconds without a new dead letter after which the hold counts as empty.
        pulled: messages per request.
        max_leased: dead letters that are kept at most.
    """

    def __init__(
        self,
        client: SubscriberClient,
        subscription: str,
        leases: Leases,
        *,
        replay_id: str,
        came_back: Callable[[], int],
        idle_s: float,
        pulled: int,
        max_leased: int = MAX_LEASED,
    ) -> None:
        self._client = client
        self._subscription = subscription
        self._leases = leases
        self._replay_id = replay_id
        self._came_back = came_back
        self._idle_s = idle_s
        self._pulled = pulled
        self._max_leased = max_leased
        self._settled: set[str] = set()
        self._seen: set[str] = set()
        self._pulled_again: set[str] = set()

    def letters(self) -> Iterator[Sequence[Letter]]:
        new_at = time.monotonic()
        while len(self._leases) < self._max_leased:
            left_s = self._idle_s - (time.monotonic() - new_at)
            if left_s <= 0:
                return
            letters = self._new(self._pull(min(max(left_s, SHORTEST_PULL_S), LONGEST_PULL_S)))
            yield letters
            if letters:
                new_at = time.monotonic()

    def settle(self, letters: Sequence[Letter]) -> None:
        ids = [letter.id for letter in letters]
        self._settled.update(ids)  # if acknowledging fails now, it is repeated when they are pulled again
        self._leases.acknowledge(ids)

    def came_back(self) -> int:
        """The larger of two counts: behind a long backlog, the hold delivers what came back last."""
        return max(len(self._pulled_again), self._came_back())

    def ended_by(self) -> str | None:
        return "too many do not match" if len(self._leases) >= self._max_leased else None

    def _pull(self, timeout_s: float) -> Sequence[Any]:
        """A list of ReceivedMessage; empty if nothing arrives in time."""
        try:
            response = self._client.pull(
                subscription=self._subscription, max_messages=self._pulled, retry=None, timeout=timeout_s
            )
        except DeadlineExceeded:
            return []
        except FAILURES as error:
            raise HoldUnavailable(f"not pulled: {type(error).__name__}") from error
        return list(response.received_messages)

    def _new(self, received: Sequence[Any]) -> list[Letter]:
        """The dead letters that this replay has neither seen nor caused."""
        now = datetime.now(UTC)
        pulled = [(from_message(_message(one.message), now), one) for one in received]
        self._leases.take((letter.id, one.message.message_id, one.ack_id) for letter, one in pulled)
        again = {letter.id for letter, _ in pulled} & self._settled
        if again:
            self._leases.acknowledge(again)
        letters = []
        for letter, _ in pulled:
            if letter.id in self._seen:
                continue
            self._seen.add(letter.id)
            if letter.attributes.get(REPLAY_ID) == self._replay_id:
                self._pulled_again.add(letter.id)
            else:
                letters.append(letter)
        return letters


def _message(message: Any) -> Message:
    return Message(
        data=message.data,
        message_id=message.message_id,
        attributes=dict(message.attributes),
        publish_ts=message.publish_time,
    )
