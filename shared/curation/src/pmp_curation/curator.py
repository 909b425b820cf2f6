"""Curates a system's snapshots in the order of their feed times, in whatever order they are received."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from pmp_curation.core import Snapshot, SystemState, curate
from pmp_curation.history import History, Missing
from pmp_curation.outcomes import Outcome, given_up, outcome
from pmp_schema.errors import PoisonMessage
from pmp_schema.snapshots import ReceivedSnapshot, receive_snapshot
from pmp_schema.timestamps import from_micros, live_timestamp

LOOK_BACK: Final = timedelta(hours=24)
"""How far back missing snapshots are looked for."""

GAP: Final = timedelta(seconds=90)
"""After a longer silence (one and a half polls), the curator looks for missing snapshots."""

SETTLED: Final = timedelta(seconds=10)
"""How long to wait for a published snapshot in the raw table; if it is still not there, the writer is down."""

_PAUSE_S: Final = 0.25


class Curator:
    """One system's curation: takes its snapshots one by one, and looks up what it has missed.

    Args:
        state: None where the system is new to this process; the state is then rebuilt from the history.
        now: aware UTC clock.

    Attributes:
        state: the state after the outcomes that were taken so far.
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

    def take(self, received: ReceivedSnapshot) -> Iterator[Outcome]:
        """The outcomes of a station_status, after those of earlier snapshots that were never curated.

        Raises:
            RetryableError: the history is needed and unavailable.
        """
        state = self._warm()
        feed_ts = _feed_ts(received, self._now())
        is_gap = state.accepted_us is None or feed_ts - from_micros(state.accepted_us) > GAP
        if is_gap and not state.has_seen(received.event_id):
            yield from self._all(self._missing_before(received, feed_ts))
        yield self._step(received)

    def catch_up(self) -> Iterator[Outcome]:
        """Curates recent snapshots without a poll row. Without state, it goes on where the last job ended.

        Raises:
            RetryableError: the history is unavailable.
        """
        self._warm()
        now = self._now()
        missing = self._history.missing(self._system_id, since=now - LOOK_BACK)
        # Younger snapshots are still on their way through Pub/Sub, and nothing may overtake them.
        yield from self._all(takewhile(lambda one: one.ingest_ts <= now - SETTLED, missing))

    def backfill(self, *, since: datetime) -> Iterator[Outcome]:
        """Curates all snapshots that were ingested since then and have no poll row.

        Snapshots before the first curated one get rows and rides of their own. Those between curated ones only get
        their poll row: their changes are part of the rides that were derived after them.

        Raises:
            RetryableError: the history is unavailable.
        """
        began, curated = self._history.began(self._system_id), self._history.state(self._system_id)
        missing = self._history.missing(self._system_id, since=since)
        self.state = SystemState(system_id=self._system_id)
        if curated is None or curated.accepted_us is None or began is None:
            yield from self._all(missing)
            return
        yield from self._all(one for one in missing if one.feed_ts < began)
        self.state = curated
        ended = from_micros(curated.accepted_us)  # later ones belong to the streaming job
        yield from self._all(one for one in missing if began <= one.feed_ts <= ended)

    def _warm(self) -> SystemState:
        if self.state is None:
            self.state = self._history.state(self._system_id) or SystemState(system_id=self._system_id)
        return self.state

    def _missing_before(self, received: ReceivedSnapshot, feed_ts: datetime) -> Iterator[Missing]:
        """Earlier snapshots in the raw table.

        The query is repeated until it finds the received snapshot too: both come from one topic, so the table then
        also has what was published before.
        """
        published = received.message.publish_ts or self._now()
        while True:
            missing = self._history.missing(self._system_id, since=published - LOOK_BACK, until=feed_ts)
            is_complete = any(one.event_id == received.event_id for one in missing)
            if is_complete or self._now() >= published + SETTLED:
                return (one for one in missing if one.feed_ts < feed_ts)
            self._sleep(_PAUSE_S)

    def _all(self, missing: Iterable[Missing]) -> Iterator[Outcome]:
        for message in self._history.messages(self._system_id, [*missing]):
            try:
                received = receive_snapshot(message, self._now())
            except PoisonMessage as poison:
                yield given_up(message, poison, self._now())
            else:
                yield self._step(received)

    def _step(self, received: ReceivedSnapshot) -> Outcome:
        now = self._now()
        try:
            curated = curate(self.state, to_snapshot(received, now))
        except PoisonMessage as poison:
            return given_up(received.message, poison, now)
        self.state = curated.state
        return outcome(received, curated, now)


def to_snapshot(received: ReceivedSnapshot, now: datetime) -> Snapshot:
    """A received station_status as the core takes it.

    Raises:
        PoisonMessage: its `ingest_ts` is not a possible time.
    """
    attributes, fetched = received.message.attributes, received.envelope.ingest_ts
    return Snapshot(
        system_id=received.system_id,
        event_id=received.event_id,
        feed_ts=_feed_ts(received, now),
        feed_ts_source=attributes.get("feed-time-source")
        or ("event_ts" if received.event_ts else "publish_ts"),
        ingest_ts=live_timestamp(fetched, now) if fetched else received.message.publish_ts or now,
        payload=received.payload,
        city_id=attributes.get("ce-cityid", "unknown"),
    )


def _feed_ts(received: ReceivedSnapshot, now: datetime) -> datetime:
    return received.event_ts or received.message.publish_ts or now
