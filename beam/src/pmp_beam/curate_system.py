"""The stateful step of `curate_status`: curates the messages of one system and keeps its state between them."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder
from apache_beam.metrics.metric import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from pmp_curation.core import StateVersionError, SystemState
from pmp_curation.curator import Curator
from pmp_curation.history import History
from pmp_curation.outcomes import Outcome, given_up
from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.events import STATION_STATUS
from pmp_schema.message import Message
from pmp_schema.snapshots import ReceivedSnapshot, receive_snapshot

logger = logging.getLogger(__name__)

NO_MESSAGE: Final = b""
"""In place of a message: the system should only catch up."""

MakeHistory = Callable[[], History]


def _now() -> datetime:
    return datetime.now(UTC)


class Curate(beam.DoFn):
    """(system id, message) -> Outcome; the state of a system is one value.

    Nothing waits for a watermark: at one message a minute, Pub/Sub's watermark stands still (apache/beam#19518).

    Args:
        catch_up_every: how often to look for snapshots that were never curated; None means never.
    """

    STATE = ReadModifyWriteStateSpec("system", BytesCoder())
    CATCH_UP = TimerSpec("catch_up", TimeDomain.REAL_TIME)

    def __init__(
        self,
        history: MakeHistory,
        *,
        catch_up_every: timedelta | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._make_history = history
        self._catch_up_every = catch_up_every
        self._now = now
        self._snapshots = Metrics.counter("curate_status", "snapshots")
        self._status_rows = Metrics.counter("curate_status", "status_rows")

    def setup(self) -> None:
        self._history = self._make_history()

    def process(
        self,
        element: tuple[str, bytes],
        state: Any = beam.DoFn.StateParam(STATE),
        timer: Any = beam.DoFn.TimerParam(CATCH_UP),
    ) -> Iterator[Outcome]:
        system_id, data = element
        curator = self._curator(system_id, state)
        if curator.state is None or data == NO_MESSAGE:
            self._set(timer)
        if data == NO_MESSAGE:
            outcomes = curator.catch_up()
        else:
            outcomes = self._take(curator, system_id, msgspec.msgpack.decode(data, type=Message))
        yield from self._count(outcomes)
        _write(state, curator.state)

    @on_timer(CATCH_UP)
    def catch_up(
        self,
        key: Any = beam.DoFn.KeyParam,
        state: Any = beam.DoFn.StateParam(STATE),
        timer: Any = beam.DoFn.TimerParam(CATCH_UP),
    ) -> Iterator[Outcome]:
        curator = self._curator(key, state)
        self._set(timer)
        yield from self._count(curator.catch_up())
        _write(state, curator.state)

    def _take(self, curator: Curator, system_id: str, message: Message) -> Iterator[Outcome]:
        now = self._now()
        try:
            received = receive_snapshot(message, now)
            _check_key(received, system_id)
        except PoisonMessage as poison:
            yield given_up(message, poison, now)
        else:
            yield from curator.take(received)

    def _curator(self, system_id: str, state: Any) -> Curator:
        return Curator(system_id, _decode(state.read()), self._history, self._now)

    def _set(self, timer: Any) -> None:
        if self._catch_up_every is not None:
            timer.set(Timestamp.now() + self._catch_up_every.total_seconds())

    def _count(self, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        for outcome in outcomes:
            self._snapshots.inc(len(outcome.polls))
            self._status_rows.inc(len(outcome.status_rows))
            for poll in outcome.polls:
                fields = {name: poll[name] for name in ("system_id", "verdict", "stations", "changed")}
                logger.info("snapshot.curated", extra={**fields, "derived": len(outcome.rides)})
            yield outcome


def _check_key(received: ReceivedSnapshot, system_id: str) -> None:
    """The attributes may have named another system or feed than the envelope.

    Raises:
        PoisonMessage: they did.
    """
    if received.envelope.event_type != STATION_STATUS:
        raise PoisonMessage(
            Reason.UNKNOWN_EVENT_TYPE, f"{received.envelope.event_type} is not {STATION_STATUS}"
        )
    if received.system_id != system_id:
        detail = f"ce-source is {system_id[:100]}, the envelope's source {received.system_id[:100]}"
        raise PoisonMessage(Reason.SCHEMA, detail)


def _decode(data: bytes | None) -> SystemState | None:
    if data is None:
        return None
    try:
        return SystemState.decode(data)
    except StateVersionError:
        logger.warning("state.dropped", extra={"bytes": len(data)})  # it is rebuilt from the history
        return None


def _write(state: Any, value: SystemState | None) -> None:
    if value is not None:
        state.write(value.encode())
