"""One run of the features: its name, what it tells of itself, and how it ends."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from google.pubsub_v1 import PublisherClient

from pmp_beam.io.storage import once_per_process
from pmp_beam.station_features.staging import merge_staged
from pmp_beam.station_features.warehouse import WarehouseSource
from pmp_runtime.pubsub.ops_events import ops_event
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import Publisher, PubSubPublisher
from pmp_schema.features import FeatureTables, StatementRunner
from pmp_schema.timestamps import format_timestamp
from pmp_schema.topology import TOPOLOGY

logger = logging.getLogger(__name__)

ENGINE: Final = "beam"
SOURCE: Final = "station_features"
_RUN_ID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}", re.ASCII)
_LAUNCHERS: Final = re.compile(r"(features-(?:sql|beam)-[0-9t]+z)-[0-9]+", re.ASCII)
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

    def event(self, status: Literal["started", "succeeded", "failed"], **data: Any) -> Outgoing:
        """What happened, as an operational event; the same id however often it is told, and by whom."""
        known: Mapping[str, Any] = {
            "as_of": format_timestamp(self.as_of),
            "known_at": format_timestamp(self.known_at),
            "engine": ENGINE,
        }
        return ops_event(
            f"feature_run.{status}",
            source=SOURCE,
            subject=self.id,
            data={**known, **data},
            new_id=lambda: f"{self.attempt_id}-{status}",
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
        micros = f"{as_of.microsecond:06d}" if as_of.microsecond else ""
        text = f"features-{ENGINE}-{as_of:%Y%m%dt%H%M%S}{micros}z"
    if not _RUN_ID.fullmatch(text):
        raise ValueError("a letter, then up to 99 letters, digits, - and _")
    if of_launcher := _LAUNCHERS.fullmatch(text):
        return of_launcher[1], text
    return text, f"{text}-{process}"


def attempt(run: Run, publisher: Publisher, work: Callable[[], object]) -> bool:
    """Does the work between its events; whether it went well. The work itself tells of its success."""
    topic = TOPOLOGY.topics["ops-events"]
    publisher.publish(topic, [run.event("started")])
    try:
        work()
    except (Exception, SystemExit) as error:  # whatever ended it, the run has failed and must be told to
        logger.exception("feature_run.failed", extra={"run_id": run.id})
        publisher.publish(topic, [run.event("failed", error=_one_line(error))])
        return False
    return True


def complete(
    run: Run, warehouse: StatementRunner, publisher: Publisher, tables: FeatureTables, written: int
) -> int:
    """The last step of a run: its staged rows become those of its as_of, and its success is told."""
    rows = merge_staged(warehouse, tables, staging=run.staging(tables), as_of=run.as_of, written=written)
    publisher.publish(TOPOLOGY.topics["ops-events"], [run.event("succeeded", rows=rows)])
    logger.info("feature_run.succeeded", extra={"run_id": run.id, "rows": rows})
    return rows


@dataclass(frozen=True, slots=True)
class Completion:
    """`complete` where its clients cannot be given: in a pipeline."""

    run: Run
    tables: FeatureTables
    warehouse: WarehouseSource

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
