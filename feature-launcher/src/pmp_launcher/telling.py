"""Every transition of a run as an operational event; pmp_ops.feature_runs is made of them.

Several may tell the same: the process that carries a run out, the one that watches it, and the launcher that looks
later. The id of an event is made of the attempt and the transition, so that the view counts it once, as first told.
"""

import logging
from collections.abc import Iterable
from datetime import datetime

from pmp_launcher.run import Run, Status
from pmp_runtime.pubsub.ops_events import ops_event
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema.errors import PublishFailed
from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)


def transition(run: Run, status: Status, at: datetime) -> Outgoing:
    """`feature_run.<status>` of an attempt; subject is the run."""
    data = {
        "as_of": format_timestamp(run.wanted.as_of),
        "known_at": format_timestamp(run.wanted.known_at),
        "engine": str(run.wanted.engine),
        "executor": run.executor,
        "attempt": run.attempt,
    }
    if status.has_ended and run.rows is not None:
        data["rows"] = run.rows
    if status is Status.FAILED and run.error:
        data["error"] = run.error
    return ops_event(
        f"feature_run.{status}",
        source=TOPOLOGY.services["launcher"].id,
        subject=run.run_id,
        data=data,
        new_id=lambda: f"{run.attempt_id}-{status}",
        at=at,
    )


def request_of(run: Run) -> list[Outgoing]:
    """That an attempt was asked for."""
    return [transition(run, Status.REQUESTED, run.requested_at)]


def start_of(run: Run) -> list[Outgoing]:
    """That an attempt has begun, where it has."""
    return [transition(run, Status.STARTED, run.started_at)] if run.started_at else []


def end_of(run: Run) -> list[Outgoing]:
    """How an attempt has ended, where it has."""
    if not run.status.has_ended or run.finished_at is None:
        return []
    return [transition(run, run.status, run.finished_at)]


def tell(publisher: Publisher, events: Iterable[Outgoing]) -> None:
    """Publishes events; a failure is logged, because the run itself goes on without them."""
    told = list(events)
    if not told:
        return
    try:
        publisher.publish(TOPOLOGY.topics["ops-events"], told)
    except PublishFailed as error:
        logger.warning("transitions.untold", extra={"cause": str(error), "events": len(told)})
