"""What a feature run does between its events, here or on Dataflow."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol

from apache_beam.runners.runner import PipelineState

from pmp_beam.dataflow import submit
from pmp_beam.runners import Build, Runner, run_batch, signals_held
from pmp_beam.settings import Settings
from pmp_beam.station_features import pipeline
from pmp_beam.station_features.debug import DebugOutput
from pmp_beam.station_features.feature_run import Completion, Run
from pmp_beam.station_features.run_bigquery import RunBigQuerySource
from pmp_schema.features import (
    FeatureTables,
    Scope,
    catalogue,
    close_days,
    last_closed_date,
    read_scope,
)
from pmp_schema.topology import TOPOLOGY

STATEMENT_TIMEOUT_S: Final = 900.0
MIN_SHARDS: Final = 16
MAX_SHARDS: Final = 1024
_SHARD_ROWS: Final = 1_000_000


class JobFailedError(RuntimeError):
    """Dataflow has ended the job without its result."""


class Job(Protocol):
    """What Beam has of a job on Dataflow."""

    def wait_until_finish(self) -> Any: ...

    def is_in_terminal_state(self) -> bool: ...

    def cancel(self) -> Any: ...


class Work:
    """A run on BigQuery. Its parts are made when it is called, so that their failures are the run's.

    Args:
        wait: for the end of a job on Dataflow; without, its last step alone tells of the run's success.
        shards: None to have as many as the data needs.
        beam_args: further options of Beam and Dataflow.
    """

    def __init__(
        self,
        run: Run,
        settings: Settings,
        *,
        runner: Runner,
        wait: bool,
        shards: int | None,
        debug: DebugOutput | None,
        beam_args: Sequence[str],
    ) -> None:
        self._run = run
        self._settings = settings
        self._runner = runner
        self._wait = wait
        self._shards = shards
        self._debug = debug
        self._beam_args = beam_args
        self._tables = FeatureTables.of(
            settings.project,
            raw_events=settings.raw_event_table,
            station_features=settings.features_table,
        )
        self._staging = run.staging(self._tables)

    def __call__(self) -> None:
        """Returns when the rows are those of the run's as_of, or the job is submitted."""
        source = RunBigQuerySource(
            self._settings.project, self._settings.bigquery_emulator, STATEMENT_TIMEOUT_S
        )
        warehouse = source()
        finish = Completion(self._run, self._tables, source)
        close_days(warehouse, self._tables, through=last_closed_date(datetime.now(UTC)))
        scope = read_scope(
            warehouse, self._tables, catalogue(), as_of=self._run.as_of, known_at=self._run.known_at
        )
        shards = self._shards or shards_of(warehouse.row_count(self._tables.raw_events))
        warehouse.create_staging(self._staging)
        has_ended = self._execute(self._build(scope, shards, finish))
        if has_ended:
            warehouse.drop_staging(self._staging)

    def _build(self, scope: Scope, shards: int, finish: Completion) -> Build:
        project, storage = self._settings.project, self._settings.storage_emulator
        return partial(
            pipeline.build,
            features=catalogue(),
            scope=scope,
            shards=shards,
            deliveries=pipeline.read_deliveries(
                scope, project=project, moved_to=self._settings.raw_event_table, storage_emulator=storage
            ),
            counts=pipeline.read_counts(scope, project=project, storage_emulator=storage),
            sink=pipeline.ToStaging(project, self._staging, storage, finish),
            debug=self._debug,
        )

    def _execute(self, build: Build) -> bool:
        """Runs or submits the pipeline; whether it has ended."""
        if self._runner is Runner.DIRECT:
            run_batch(build)
            return True
        name = f"{self._settings.features_job or TOPOLOGY.jobs['station_features']}-{self._run.name}"
        # Any: Beam declares what all of its runners have, which is less than a `Job`.
        begin: Callable[[], Any] = partial(
            submit, build, self._settings, self._beam_args, job_name=job_name(name), streaming=False
        )
        if self._wait:
            carry_out(begin, name)
        else:
            begin()
        return self._wait


def carry_out(begin: Callable[[], Job], name: str) -> None:
    """Begins a job on Dataflow, which does not outlive the wait for it: the run would have failed, and its rows come.

    Raises:
        JobFailedError: it has ended without its result.
    """
    # A signal while the job is made would leave one that nobody knows.
    with signals_held() as release:
        job = begin()
        try:
            release()
            state = job.wait_until_finish()
        finally:
            # Besides a signal: Beam raises AssertionError once it could not ask for the job's state.
            if not job.is_in_terminal_state():
                job.cancel()
    if state != PipelineState.DONE:
        raise JobFailedError(f"{name}: {state}")


def shards_of(rows: int) -> int:
    """As many that one has about a million of the rows."""
    return min(MAX_SHARDS, max(MIN_SHARDS, rows // _SHARD_ROWS))


def job_name(text: str) -> str:
    """The text as Dataflow takes it for a name: lower-case letters, digits and hyphens."""
    return text.lower().replace("_", "-")
