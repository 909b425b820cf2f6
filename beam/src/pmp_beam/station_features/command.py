"""The subcommand `station_features`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pmp_beam.dataflow import check_submission, is_dry_run
from pmp_beam.runners import Runner, ended_by_signals, run_batch
from pmp_beam.settings import Settings
from pmp_beam.station_features import pipeline
from pmp_beam.station_features.debug import DebugOutput
from pmp_beam.station_features.feature_run import Run, attempt, name_run, ops_publisher
from pmp_beam.station_features.files import EventFileError, ToFile, example, read_events, scope_of_file
from pmp_beam.station_features.run_work import MAX_SHARDS, MIN_SHARDS, Work
from pmp_runtime import logs
from pmp_runtime.config import ConfigError
from pmp_schema.features import catalogue, default_known_at
from pmp_schema.timestamps import format_timestamp, parse_timestamp

NAME: Final = "station_features"
TEST: Final = "test"
OUTPUT: Final = "data/station_features.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    add = parser.add_argument
    add(
        "--as-of",
        "--run-timestamp",
        type=parse_timestamp,
        metavar="TIME",
        help="end of every window, RFC 3339 or a date (default: now, to the minute)",
    )
    add(
        "--known-at",
        type=parse_timestamp,
        metavar="TIME",
        help="leave out what was ingested later (default: a minute ago)",
    )
    add(
        "--provisional", action="store_true", help="allow a later --known-at; rows may differ from run to run"
    )
    add("--run-id", metavar="ID", help="name of the run in events and files (default: made from --as-of)")
    add(
        "--runner",
        type=_runner,
        default=Runner.DIRECT,
        metavar="RUNNER",
        help="direct: in this process (default); dataflow: submit; test: from a JSON file to a file; "
        "Beam's names do as well",
    )
    add(
        "--wait",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="runner dataflow: end with the job, and as it ends (default), or once it is submitted",
    )
    add(
        "--shards",
        type=int,
        metavar="N",
        help="parts that are computed one by one (default: by the size of the data)",
    )
    add(
        "--input",
        type=Path,
        metavar="FILE",
        help="runner test: events as JSON array or lines (default: an example)",
    )
    add(
        "--output",
        default=OUTPUT,
        metavar="FILE",
        help=f"runner test: rows as .json or .csv (default: {OUTPUT})",
    )
    add(
        "--debug-output", metavar="DIR", help="also write the events used and the rows, below DIR or gs://..."
    )
    add(
        "--debug-format", choices=("csv", "parquet"), default="csv", help="of the debug output (default: csv)"
    )


def run(
    args: argparse.Namespace, beam_args: Sequence[str], settings: Callable[[], Settings], now: datetime
) -> int:
    """Runs what the arguments say.

    Args:
        settings: read where they are needed: a run of files needs none.

    Returns:
        The exit code: 0, or 1 where the run has failed.

    Raises:
        ConfigError: the arguments or the settings do not make a run.
    """
    if is_dry_run(PipelineOptions([*beam_args])):
        raise ConfigError("--dry_run: a run of station_features changes BigQuery before there is a job")
    this = _run(args, now)
    debug = DebugOutput(args.debug_output, this.attempt_id, args.debug_format) if args.debug_output else None
    if args.runner == TEST:
        return _run_files(args, this, debug)
    known = settings()
    logs.configure(known.log_level)
    if args.runner is Runner.DATAFLOW:
        check_submission(known, beam_args)
    work = Work(
        this,
        known,
        runner=args.runner,
        wait=args.wait,
        shards=args.shards,
        debug=debug,
        beam_args=beam_args,
    )
    with ended_by_signals():
        return 0 if attempt(this, ops_publisher(known.project), work) else 1


def _run(args: argparse.Namespace, now: datetime) -> Run:
    settled = default_known_at(now)
    known_at = args.known_at or settled
    if known_at > settled and not args.provisional:
        raise ConfigError(
            f"--known-at {format_timestamp(known_at)}: events may still be added; wait, or say --provisional"
        )
    as_of = args.as_of or now.replace(second=0, microsecond=0)
    process = uuid4().hex[:8]
    try:
        run_id, attempt_id = name_run(args.run_id, as_of, process)
    except ValueError as error:
        raise ConfigError(f"--run-id: {error}") from error
    if args.shards is not None and not 0 < args.shards <= MAX_SHARDS:
        raise ConfigError(f"--shards: 1 to {MAX_SHARDS}")
    return Run(
        id=run_id,
        attempt_id=attempt_id,
        process=process,
        as_of=as_of,
        known_at=known_at,
    )


def _run_files(args: argparse.Namespace, this: Run, debug: DebugOutput | None) -> int:
    try:
        batch = read_events(args.input.read_bytes() if args.input else example())
    except (EventFileError, OSError) as error:
        raise ConfigError(f"--input: {error}") from error
    build = partial(
        pipeline.build,
        features=catalogue(),
        scope=scope_of_file(this.as_of, this.known_at),
        shards=args.shards or MIN_SHARDS,
        deliveries=beam.Create([batch], reshuffle=False),
        counts=beam.Create([], reshuffle=False),
        sink=ToFile(args.output),
        debug=debug,
    )
    run_batch(build)
    sys.stdout.write(f"{args.output}\n")
    return 0


def _runner(name: str) -> str:
    return TEST if name.lower().removesuffix("runner") == TEST else Runner.parse(name)
