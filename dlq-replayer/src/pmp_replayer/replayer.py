"""Starts replays: gives each its id, its source, its rate limit and its audit trail."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from google.pubsub_v1 import SubscriberClient

from pmp_replayer.audit import Audit
from pmp_replayer.config import Config
from pmp_replayer.counts import Counts
from pmp_replayer.dead_letter_table import CameBack, DeadLetterTable, TableSource
from pmp_replayer.hold import HOLD, Hold
from pmp_replayer.leases import Leases
from pmp_replayer.rate_limit import RateLimit
from pmp_replayer.replay import Replay, Source, batch_size
from pmp_replayer.request import ReplayRequest
from pmp_runtime.pubsub.publisher import Publisher

MIN_PULLED: Final = 10
CALL_TIMEOUT_S: Final = 10.0


class Replayer:
    """Args:
    service: the service's id, source of the ops events.
    """

    def __init__(
        self,
        config: Config,
        subscriber: SubscriberClient,
        publisher: Publisher,
        table: DeadLetterTable,
        *,
        service: str,
    ) -> None:
        self._config = config
        self._subscriber = subscriber
        self._publisher = publisher
        self._table = table
        self._service = service

    def replay(self, request: ReplayRequest) -> Iterator[Counts]:
        """A replay, which advances as it is iterated and ends cleanly when the iterator is closed.

        Raises:
            RetryableError: Pub/Sub or BigQuery does not answer.
        """
        replay_id = f"r-{datetime.now(UTC):%Y%m%dt%H%M%S}-{uuid4().hex[:8]}"
        came_back = CameBack(self._table, replay_id)
        if request.dry_run:
            # A dry run reads the table even for the hold; then it takes what the hold can still contain.
            kept = timedelta(seconds=HOLD.retention_s)
            since = datetime.now(UTC) - kept if request.source == "hold" else None
            source = TableSource(self._table, request, came_back, since=since)
            return self._replay(request, source, replay_id).dry_run()
        if request.source == "table":
            return self._replay(request, TableSource(self._table, request, came_back), replay_id).run()
        return self._replay_hold(request, replay_id, came_back)

    def _replay_hold(self, request: ReplayRequest, replay_id: str, came_back: CameBack) -> Iterator[Counts]:
        subscription = HOLD.path(self._config.project)
        leases = Leases(
            self._subscriber, subscription, lease_s=self._config.lease_s, timeout_s=CALL_TIMEOUT_S
        )
        with leases:
            hold = Hold(
                self._subscriber,
                subscription,
                leases,
                replay_id=replay_id,
                came_back=came_back,
                idle_s=self._config.idle_s,
                # Small pulls, so that a slow replay sees what came back after a few dead letters, not after a hundred.
                pulled=max(MIN_PULLED, batch_size(request.rate_per_s)),
            )
            yield from self._replay(request, hold, replay_id).run()

    def _replay(self, request: ReplayRequest, source: Source, replay_id: str) -> Replay:
        ends_at = time.monotonic() + self._config.run_timeout_s
        return Replay(
            id=replay_id,
            request=request,
            source=source,
            publisher=self._publisher,
            rate_limit=RateLimit(request.rate_per_s, monotonic=time.monotonic, sleep=time.sleep),
            audit=Audit(self._publisher, source=self._service, replay_id=replay_id),
            out_of_time=lambda: time.monotonic() >= ends_at,
        )
