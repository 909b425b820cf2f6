"""The bounded pipeline that curates old snapshots, for example those from before the first job."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam

from pmp_beam.curate_status import deliver
from pmp_beam.curate_system import MakeHistory
from pmp_curation.curator import Curator
from pmp_curation.outcomes import Outcome


def build(
    pipeline: beam.Pipeline,
    history: MakeHistory,
    *,
    since: datetime,
    project: str,
    storage_emulator: str | None,
) -> None:
    """Builds the pipeline. Systems are processed in parallel, the snapshots of one system by feed time.

    Args:
        since: time of ingestion, aware.
        storage_emulator: `host:port` of the Storage API's emulator, or None for Google.
    """
    outcomes = (
        pipeline
        | "Once" >> beam.Create([None], reshuffle=False)
        | "Systems" >> beam.FlatMap(_systems, history, since)
        | "Spread" >> beam.Reshuffle()
        | "Curate" >> beam.ParDo(Backfill(history, since)).with_output_types(Outcome)
        # Stored before anything is written: a repeated write must not query the history again.
        | "Kept" >> beam.Reshuffle()
    )
    deliver(outcomes, project=project, storage_emulator=storage_emulator)


def _systems(_: None, history: MakeHistory, since: datetime) -> Iterator[str]:
    yield from history().systems(since)


class Backfill(beam.DoFn):
    """system id -> its outcomes."""

    def __init__(self, history: MakeHistory, since: datetime) -> None:
        self._make_history = history
        self._since = since

    def setup(self) -> None:
        self._history = self._make_history()

    def process(self, element: str) -> Iterator[Any]:
        curator = Curator(element, None, self._history, lambda: datetime.now(UTC))
        yield from curator.backfill(since=self._since)
