"""A system's snapshots in the order in which they must be curated, whatever order they come in."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from pmp_curation.arrivals import Arrival, arrival
from pmp_curation.core import SystemState, curate
from pmp_curation.history import History, Missing
from pmp_curation.outcomes import Outcome, given_up, outcome
from pmp_schema.errors import PoisonMessage
from pmp_schema.message import Message
from pmp_schema.timestamps import duration_micros, from_micros, to_micros

LOOK_BACK: Final = timedelta(hours=24)
"""How long after its publish a snapshot that was not curated is still looked for."""

GAP: Final = timedelta(seconds=90)
"""After a silence of more than a poll of a minute and a half it is looked up whether snapshots are missing in it."""

SETTLED: Final = timedelta(seconds=10)
"""So long after its publish a snapshot is in the raw table, or the writer is down. Longer is not waited for."""

_PAUSE_S: Final = 0.25


class Curator:
    """One system's curation: takes its messages one by one, and looks up what it has missed.

    Args:
        state: None where the system is new to this job; the history then tells where the curation stands.
        now: aware UTC clock.

    Attributes:
        state: after the outcomes that were taken so far.
    """

    def __init__(
        self,
        system_id: str,
        state: SystemState | None,
        history: History,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._system_id = system_id
        self._history = history
        self._now = now
        self._sleep = sleep
        self.state = state

    def take(self, message: Message) -> Iterator[Outcome]:
        """The outcomes of a message, after those of snapshots before it that nobody has curated.

        Raises:
            RetryableError: the history is needed and does not answer.
        """
        try:
            arrived = arrival(message, self._now())
        except PoisonMessage as poison:
            yield given_up(message, poison, self._now())
            return
        state = self._warm()
        if _is_gap(state, arrived.snapshot.feed_ts) and not state.has_seen(arrived.snapshot.event_id):
            yield from self._all(self._missing_before(arrived))
        yield self._step(arrived)

    def catch_up(self) -> Iterator[Outcome]:
        """Curates what was ingested lately and has no poll row; without state, from where the last job ended.

        Raises:
            RetryableError: the history does not answer.
        """
        self._warm()
        now = self._now()
        missing = self._history.missing(self._system_id, since=now - LOOK_BACK)
        # What is younger is on its way through Pub/Sub; and nothing overtakes it here.
        yield from self._all(takewhile(lambda one: one.ingest_ts <= now - SETTLED, missing))

    def backfill(self, *, since: datetime) -> Iterator[Outcome]:
        """Curates whatever was ingested since then and has no poll row.

        Snapshots before the first curated one become history of their own, with changes and derived events.
        Those between curated ones only get their poll row: what they changed is in the events after them.

        Raises:
            RetryableError: the history does not answer.
        """
        began, curated = self._history.began(self._system_id), self._history.state(self._system_id)
        missing = self._history.missing(self._system_id, since=since)
        self.state = SystemState(system_id=self._system_id)
        if curated is None or curated.accepted_us is None or began is None:
            yield from self._all(missing)
            return
        yield from self._all(one for one in missing if one.feed_ts < began)
        self.state = curated
        ended = from_micros(curated.accepted_us)  # what comes later is the streaming job's
        yield from self._all(one for one in missing if began <= one.feed_ts <= ended)

    def _warm(self) -> SystemState:
        if self.state is None:
            self.state = self._history.state(self._system_id) or SystemState(system_id=self._system_id)
        return self.state

    def _missing_before(self, arrived: Arrival) -> Iterator[Missing]:
        """What the raw table has of before a snapshot.

        It is asked again until it has that snapshot too: both come from one topic, so that it then also has what
        was published before.
        """
        snapshot = arrived.snapshot
        published = arrived.message.publish_ts or snapshot.ingest_ts
        while True:
            missing = self._history.missing(
                self._system_id, since=published - LOOK_BACK, until=snapshot.feed_ts
            )
            is_complete = any(one.event_id == snapshot.event_id for one in missing)
            if is_complete or self._now() >= published + SETTLED:
                return (one for one in missing if one.feed_ts < snapshot.feed_ts)
            self._sleep(_PAUSE_S)

    def _all(self, missing: Iterable[Missing]) -> Iterator[Outcome]:
        for message in self._history.messages(self._system_id, [*missing]):
            try:
                yield self._step(arrival(message, self._now()))
            except PoisonMessage as poison:
                yield given_up(message, poison, self._now())

    def _step(self, arrived: Arrival) -> Outcome:
        try:
            curated = curate(self.state, arrived.snapshot)
        except PoisonMessage as poison:
            return given_up(arrived.message, poison, self._now())
        self.state = curated.state
        return outcome(arrived, curated, self._now())


def _is_gap(state: SystemState, feed_ts: datetime) -> bool:
    return state.accepted_us is None or to_micros(feed_ts) - state.accepted_us > duration_micros(GAP)
