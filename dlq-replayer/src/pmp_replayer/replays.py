"""Puts a run together: its id, its source, its rate and its audit."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from google.pubsub_v1 import SubscriberClient

from pmp_replayer.bucket import Bucket
from pmp_replayer.config import Config
from pmp_replayer.criteria import ReplayRequest
from pmp_replayer.hold import Hold
from pmp_replayer.leases import Leases
from pmp_replayer.ledger import Ledger
from pmp_replayer.report import Counts
from pmp_replayer.run import Source, batch_size, plan, run
from pmp_replayer.table import DeadLetterTable, Returns, TableSource
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema.topology import TOPOLOGY, Subscription

HOLD: Final[Subscription] = next(
    s for s in TOPOLOGY.subscriptions if s.topic.key == "dead-letters" and s.push_path is None
)
MIN_PULLED: Final = 10
CALL_TIMEOUT_S: Final = 10.0


class Replays:
    """Starts runs against Pub/Sub and BigQuery.

    Args:
        service: the service's id, the source of its operational events.
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

    def __call__(self, request: ReplayRequest) -> Iterator[Counts]:
        """A run, which goes on as it is iterated and ends cleanly where that is given up; see `run`.

        Raises:
            RetryableError: Pub/Sub or BigQuery does not answer.
        """
        replay_id = f"r-{datetime.now(UTC):%Y%m%dt%H%M%S}-{uuid4().hex[:8]}"
        if request.dry_run:
            return plan(request, self._planned(request), replay_id)
        if request.source == "table":
            source = TableSource(self._table, request, returns=Returns(self._table, replay_id))
            return self._run(request, source, replay_id)
        return self._run_hold(request, replay_id)

    def _planned(self, request: ReplayRequest) -> TableSource:
        """The table, with what the hold can still have where that is what is asked for."""
        kept = timedelta(seconds=HOLD.retention_s)
        since = datetime.now(UTC) - kept if request.source == "hold" else None
        return TableSource(self._table, request, returns=lambda: 0, since=since)

    def _run_hold(self, request: ReplayRequest, replay_id: str) -> Iterator[Counts]:
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
                returns=Returns(self._table, replay_id),
                idle_s=self._config.idle_s,
                # A slow run looks for what came back between few letters, not between a hundred.
                pulled=max(MIN_PULLED, batch_size(request.rate_per_s)),
            )
            yield from self._run(request, hold, replay_id)

    def _run(self, request: ReplayRequest, source: Source, replay_id: str) -> Iterator[Counts]:
        ends_at = time.monotonic() + self._config.run_timeout_s
        return run(
            request,
            source,
            self._publisher,
            Bucket(request.rate_per_s, monotonic=time.monotonic, sleep=time.sleep),
            Ledger(self._publisher, source=self._service, replay_id=replay_id),
            replay_id=replay_id,
            out_of_time=lambda: time.monotonic() >= ends_at,
        )
