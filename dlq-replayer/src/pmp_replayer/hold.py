"""The hold subscription as a source of letters: pulled, leased while the run lasts, acknowledged once replayed."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1 import SubscriberClient

from pmp_replayer.decision import REPLAY_ID
from pmp_replayer.leases import FAILURES, HoldUnavailable, Leases
from pmp_replayer.letter import Letter, from_message
from pmp_schema.message import Message

MAX_PULLED: Final = 100
MAX_LEASED: Final = 50_000  # letters that are kept: their leases are memory and requests
# What a pull brings that was given up a moment ago stays leased to nobody: better few long ones than many short.
SHORTEST_PULL_S: Final = 2.0
LONGEST_PULL_S: Final = 5.0


class Hold:
    """One run's view of the hold.

    Args:
        leases: entered by the caller, which gives everything back when it leaves them.
        returns: how many letters of the run the table has again.
        idle_s: seconds without a new letter after which there are no more.
        pulled: messages per request.
        now: aware UTC clock.
        max_leased: letters that are kept at most.
    """

    def __init__(
        self,
        client: SubscriberClient,
        subscription: str,
        leases: Leases,
        *,
        replay_id: str,
        returns: Callable[[], int],
        idle_s: float,
        pulled: int = MAX_PULLED,
        max_leased: int = MAX_LEASED,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._subscription = subscription
        self._leases = leases
        self._replay_id = replay_id
        self._returns = returns
        self._idle_s = idle_s
        self._pulled = pulled
        self._max_leased = max_leased
        self._now = now
        self._monotonic = monotonic
        self._settled: set[str] = set()
        self._seen: set[str] = set()
        self._back: set[str] = set()

    def letters(self) -> Iterator[Sequence[Letter]]:
        new_at = self._monotonic()
        while len(self._leases) < self._max_leased:
            left_s = self._idle_s - (self._monotonic() - new_at)
            if left_s <= 0:
                return
            letters = self._new(self._pull(min(max(left_s, SHORTEST_PULL_S), LONGEST_PULL_S)))
            yield letters
            if letters:
                new_at = self._monotonic()

    def settle(self, letters: Sequence[Letter]) -> None:
        ids = [letter.id for letter in letters]
        self._settled.update(ids)  # published: acknowledged when they come again, even where that fails now
        self._leases.acknowledge(ids)

    def came_back(self) -> int:
        """The larger of two counts: of a long backlog the hold gives what came back last."""
        return max(len(self._back), self._returns())

    def ended_by(self) -> str | None:
        return "too many do not match" if len(self._leases) >= self._max_leased else None

    def _pull(self, timeout_s: float) -> Sequence[Any]:
        """ReceivedMessage list, empty where there is nothing within the time."""
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
        """What the run has not seen, and does not get back from its own replays."""
        pulled = [(from_message(_push_message(one.message), self._now()), one) for one in received]
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
                self._back.add(letter.id)
            else:
                letters.append(letter)
        return letters


def _push_message(message: Any) -> Message:
    return Message(
        data=message.data,
        message_id=message.message_id,
        attributes=dict(message.attributes),
        publish_ts=message.publish_time,
    )
