"""`python -m pmp_beam PIPELINE --runner direct|dataflow`: runs or submits a pipeline."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import apache_beam as beam
import google.auth
from google.auth.exceptions import GoogleAuthError

from pmp_beam import curate_status, ingest_events
from pmp_beam.backfill import build as build_backfill
from pmp_beam.dataflow import check_submission, submit
from pmp_beam.history_source import HistorySource
from pmp_beam.io import ReadMessages
from pmp_beam.runners import Build, Runner, run_batch, run_streaming
from pmp_beam.settings import Settings
from pmp_beam.station_features import command as station_features
from pmp_runtime import logs
from pmp_runtime.config import ConfigError
from pmp_schema.timestamps import parse_timestamp
from pmp_schema.topology import TOPOLOGY


def _curate(settings: Settings, args: argparse.Namespace) -> tuple[Build, bool]:
    make_history = HistorySource(settings.project, settings.bigquery_emulator, settings.query_timeout_s)
    if args.backfill_since is not None:
        return partial(
            build_backfill,
            history=make_history,
            since=args.backfill_since,
            project=settings.project,
            storage_emulator=settings.storage_emulator,
        ), False

    def build(pipeline: beam.Pipeline) -> None:
        curate_status.build(
            pipeline
            | "Read" >> ReadMessages(TOPOLOGY.pull_subscription("snapshots").id, project=settings.project),
            make_history,
            project=settings.project,
            storage_emulator=settings.storage_emulator,
            catch_up_every=timedelta(seconds=args.catch_up_s) if args.runner is Runner.DIRECT else None,
        )

    return build, True


def _ingest(settings: Settings, args: argparse.Namespace) -> tuple[Build, bool]:
    def build(pipeline: beam.Pipeline) -> None:
        ingest_events.build(
            pipeline
            | "Read"
            >> ReadMessages(TOPOLOGY.pull_subscription("sensor-events").id, project=settings.project),
            # Dataflow's source itself drops what Pub/Sub delivers again.
            deduplicate=args.runner is Runner.DIRECT,
            project=settings.project,
            storage_emulator=settings.storage_emulator,
            moved_to=settings.raw_event_table,
        )

    return build, True


def parser() -> argparse.ArgumentParser:
    """The commands; each one's `make(settings, args)` gives how to build the pipeline, and whether it is unbounded."""
    root = argparse.ArgumentParser(
        prog="python -m pmp_beam", description="Runs a pipeline here, or submits it to Dataflow."
    )
    pipelines = root.add_subparsers(dest="pipeline", required=True, metavar="PIPELINE")
    curate = pipelines.add_parser("curate_status", help="snapshots to history and derived rides (streaming)")
    curate.add_argument(
        "--backfill-since",
        type=parse_timestamp,
        metavar="TIME",
        help="curate what was ingested since then and is not curated yet, and end (RFC 3339)",
    )
    curate.add_argument(
        "--catch-up-s",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="runner direct: how often to look for snapshots that were never curated (default: 300)",
    )
    curate.set_defaults(make=_curate)
    ingest = pipelines.add_parser(
        "ingest_events", help="sensor events to raw_events, for high volumes (streaming)"
    )
    ingest.set_defaults(make=_ingest)
    features = pipelines.add_parser(station_features.NAME, help="events to station features (batch)")
    station_features.add_arguments(features)
    for pipeline in (curate, ingest):
        pipeline.add_argument(
            "--runner",
            type=Runner.parse,
            default=Runner.DIRECT,
            metavar="RUNNER",
            help="direct: in this process (default); dataflow: submit; Beam's names do as well",
        )
        pipeline.epilog = "Further options go to Beam: --max_num_workers, --update, --dry_run=True ..."
    features.epilog = "Further options go to Beam: --max_num_workers ..."
    return root


def _settings(runner: Runner) -> Settings:
    """The settings of the environment; without credentials a pipeline would only fail in one of its steps.

    Raises:
        ConfigError: a variable is missing, or there are no credentials.
    """
    settings = Settings.from_env(os.environ)
    if runner is Runner.DIRECT and settings.bigquery_emulator is None:
        try:
            google.auth.default()
        except GoogleAuthError as error:
            raise ConfigError(
                "no Google credentials: run `gcloud auth application-default login`, or set BIGQUERY_EMULATOR_HOST"
            ) from error
    return settings


def main(argv: Sequence[str]) -> int:
    """Runs what the arguments say; returns the exit code."""
    commands = parser()
    if argv and argv[0].startswith("--") and argv[0] != "--help":
        argv = [station_features.NAME, *argv]  # the command line from before there were others
    args, beam_args = commands.parse_known_args(argv)
    if beam_args and args.runner is not Runner.DATAFLOW:
        commands.error(f"{' '.join(beam_args)}: options of Beam are for --runner dataflow")
    try:
        if args.pipeline == station_features.NAME:
            return station_features.run(args, beam_args, lambda: _settings(args.runner), datetime.now(UTC))
        settings = _settings(args.runner)
        logs.configure(settings.log_level)
        build, streaming = args.make(settings, args)
        if args.runner is Runner.DATAFLOW:
            check_submission(settings, beam_args)
            # Dataflow runs one job of a name at a time, and the backfill goes on beside the stream.
            job_name = TOPOLOGY.jobs[args.pipeline] + ("" if streaming else "-backfill")
            submit(build, settings, beam_args, job_name=job_name, streaming=streaming)
        elif streaming:
            run_streaming(build)
        else:
            run_batch(build)
    except ConfigError as error:
        sys.stderr.write(f"pmp_beam: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
