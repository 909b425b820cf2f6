"""The ops events of a run's attempt, by the contract in `pmp_schema.features.runs`."""

import logging
from collections.abc import Iterable
from datetime import datetime

from pmp_launcher.feature_run import Run
from pmp_runtime.pubsub.ops_events import ops_event
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import Publisher
from pmp_schema.errors import PublishFailed
from pmp_schema.features.runs import Status, event_data, event_id, event_type
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)


def transition(run: Run, status: Status, at: datetime) -> Outgoing:
    """The event of an attempt that reached a status; its subject is the run."""
    data = event_data(run.wanted, executor=run.executor, attempt=run.attempt)
    if status.has_ended and run.rows is not None:
        data["rows"] = run.rows
    if status is Status.FAILED and run.error:
        data["error"] = run.error
    return ops_event(
        event_type(status),
        source=TOPOLOGY.services["launcher"].id,
        subject=run.run_id,
        data=data,
        new_id=lambda: event_id(run.attempt_id, status),
        at=at,
    )


def request_of(run: Run) -> list[Outgoing]:
    """The event that an attempt was requested."""
    return [transition(run, Status.REQUESTED, run.requested_at)]


def start_of(run: Run) -> list[Outgoing]:
    """The event that an attempt has started, if it has."""
    return [transition(run, Status.STARTED, run.started_at)] if run.started_at else []


def end_of(run: Run) -> list[Outgoing]:
    """The event of an attempt's end, if it has ended."""
    if not run.status.has_ended or run.finished_at is None:
        return []
    return [transition(run, run.status, run.finished_at)]


def publish(publisher: Publisher, events: Iterable[Outgoing]) -> None:
    """Publishes events; a failure is only logged, because the run itself goes on without them."""
    wanted = list(events)
    if not wanted:
        return
    try:
        publisher.publish(TOPOLOGY.topics["ops-events"], wanted)
    except PublishFailed as error:
        logger.warning("transitions.untold", extra={"cause": str(error), "events": len(wanted)})
