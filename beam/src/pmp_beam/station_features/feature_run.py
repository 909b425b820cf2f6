"""One attempt at a feature run by Beam: its ids, its ops events, and how it ends."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from google.pubsub_v1 import PublisherClient

from pmp_beam.io.storage import once_per_process
from pmp_beam.station_features.run_bigquery import RunBigQuerySource
from pmp_beam.station_features.staging import merge_staged
from pmp_runtime.pubsub.ops_events import ops_event
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import Publisher, PubSubPublisher
from pmp_schema.features import FeatureTables, StatementRunner
from pmp_schema.features.runs import Engine, Status, Wanted, event_data, event_id, event_type, read_attempt_id
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)

SOURCE: Final = "station_features"
_RUN_ID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}", re.ASCII)
_ERROR_CHARS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt at a run, by one process.

    Attributes:
        id: the same for every attempt.
        attempt_id: names the attempt in events and files; what a repeated attempt tells is the same.
        process: this one's; a task may be started again under the same attempt.
    """

    id: str
    attempt_id: str
    process: str
    as_of: datetime
    known_at: datetime

    @property
    def name(self) -> str:
        """For what belongs to this process alone."""
        return f"{self.attempt_id}-{self.process}"

    def staging(self, tables: FeatureTables) -> str:
        """Full name of this process's own table: what another one left half written is never read."""
        dataset = tables.station_features.rpartition(".")[0]
        return f"{dataset}.station_features_staging_{self.name.replace('-', '_')}"

    def event(self, status: Status, **data: Any) -> Outgoing:
        """The ops event of a status; it has the same id whenever and by whichever process it is published."""
        wanted = Wanted(engine=Engine.BEAM, as_of=self.as_of, known_at=self.known_at)
        return ops_event(
            event_type(status),
            source=SOURCE,
            subject=self.id,
            data=event_data(wanted, **data),
            new_id=lambda: event_id(self.attempt_id, status),
        )


def name_run(text: str | None, as_of: datetime, process: str) -> tuple[str, str]:
    """A run's id and that of the attempt.

    Args:
        text: either; the launcher's ids of attempts end with a number. None makes the launcher's id for a run of
            the same time.
        process: makes the attempt's id where none is given.

    Raises:
        ValueError: neither.
    """
    if text is None:
        text = Wanted(engine=Engine.BEAM, as_of=as_of, known_at=as_of).run_id
    if not _RUN_ID.fullmatch(text):
        raise ValueError("a letter, then up to 99 letters, digits, - and _")
    try:
        return read_attempt_id(text)[0], text
    except ValueError:
        return text, f"{text}-{process}"


def attempt(run: Run, publisher: Publisher, work: Callable[[], object]) -> bool:
    """Does the work between its events; whether it went well. The work itself tells of its success."""
    topic = TOPOLOGY.topics["ops-events"]
    publisher.publish(topic, [run.event(Status.STARTED)])
    try:
        work()
    except (Exception, SystemExit) as error:  # whatever ended it, the run has failed and must be told to
        logger.exception("feature_run.failed", extra={"run_id": run.id})
        publisher.publish(topic, [run.event(Status.FAILED, error=_one_line(error))])
        return False
    return True


def complete(
    run: Run, warehouse: StatementRunner, publisher: Publisher, tables: FeatureTables, written: int
) -> int:
    """The last step of a run: its staged rows become those of its as_of, and its success is told."""
    rows = merge_staged(warehouse, tables, staging=run.staging(tables), as_of=run.as_of, written=written)
    publisher.publish(TOPOLOGY.topics["ops-events"], [run.event(Status.SUCCEEDED, rows=rows)])
    logger.info("feature_run.succeeded", extra={"run_id": run.id, "rows": rows})
    return rows


@dataclass(frozen=True, slots=True)
class Completion:
    """`complete` where its clients cannot be given: in a pipeline."""

    run: Run
    tables: FeatureTables
    warehouse: RunBigQuerySource

    def __call__(self, written: int) -> int:
        return complete(
            self.run, self.warehouse(), ops_publisher(self.warehouse.project), self.tables, written
        )


@once_per_process
def ops_publisher(project: str) -> PubSubPublisher:
    """The process's publisher of operational events."""
    return PubSubPublisher(PublisherClient(), project)


def _one_line(error: BaseException) -> str:
    """The error's last line: a runner puts the step's whole traceback before it."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:_ERROR_CHARS]
