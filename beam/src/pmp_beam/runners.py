"""Where a pipeline runs: in this process, or on Dataflow."""

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult

from pmp_beam.io import direct_subscriber
from pmp_beam.settings import Settings
from pmp_schema.config import ConfigError

logger = logging.getLogger(__name__)

Build = Callable[[beam.Pipeline], None]
RESTART_S: Final = 5.0
_BUCKET: Final = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
MAX_WORKERS: Final = 4
"""What a runaway backlog may cost; a city is one message a minute."""


class Runner(StrEnum):
    """`direct` is this process; `dataflow` submits and returns."""

    DIRECT = "direct"
    DATAFLOW = "dataflow"

    @classmethod
    def parse(cls, name: str) -> "Runner":
        """`direct`, `dataflow`, or Beam's names for them.

        Raises:
            ValueError: another runner.
        """
        return cls(name.lower().removesuffix("runner"))


def run_streaming(build: Build, *, pubsub_emulator: str | None) -> NoReturn:
    """Runs an unbounded pipeline in this process until a signal ends it.

    The direct runner gives up a pipeline after four failures of a bundle. The process then begins anew, with the
    same arguments: nothing of the old pipeline is left, and Pub/Sub delivers again what it had in hand.

    Args:
        pubsub_emulator: `host:port`, or None for Google.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # The runner's threads cannot be told to end; what they have in hand comes again.
        signal.signal(number, lambda *_: _leave())
    direct_subscriber.install(pubsub_emulator)
    try:
        # Not the default: that one first tries to download another runner.
        pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"]))
        build(pipeline)
        result = pipeline.run()
        logger.info("pipeline.started")
        result.wait_until_finish()
    except Exception:  # whatever a step raises ends the pipeline, not the service
        logger.exception("pipeline.failed", extra={"restart_s": RESTART_S})
    time.sleep(RESTART_S)
    logging.shutdown()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell, our own arguments


def run_batch(build: Build) -> PipelineResult:
    """Runs a bounded pipeline in this process to its end."""
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    build(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    return result


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within the block SIGTERM and SIGINT raise SystemExit, so that a job that was begun can be ended.

    Without a handler SIGTERM does nothing to the first process of a container.
    """

    def leave(number: int, _: object) -> NoReturn:
        raise SystemExit(signal.Signals(number).name)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def submit(
    build: Build, settings: Settings, beam_args: Sequence[str], *, job_name: str, streaming: bool
) -> PipelineResult:
    """Submits a pipeline to Dataflow; returns when the job exists.

    Args:
        beam_args: further options of Beam and Dataflow; they win.

    Raises:
        ConfigError: something that Dataflow needs is not set.
    """
    pipeline = beam.Pipeline(
        options=dataflow_options(settings, beam_args, job_name=job_name, streaming=streaming)
    )
    build(pipeline)
    result = pipeline.run()
    logger.info(
        "job.submitted", extra={"job_name": job_name, "job_id": getattr(result, "job_id", lambda: "")()}
    )
    return result


def dataflow_options(
    settings: Settings, beam_args: Sequence[str], *, job_name: str, streaming: bool
) -> PipelineOptions:
    """Options of a Dataflow job whose workers run this package's own image; nothing is uploaded but the graph.

    Raises:
        ConfigError: something that Dataflow needs is not set.
    """
    needed = {"REGION": settings.region, "BUCKET": settings.bucket, "BEAM_IMAGE": settings.image}
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise ConfigError(f"unset: {', '.join(missing)}; Dataflow needs them")
    if not _BUCKET.fullmatch(settings.bucket or ""):
        # Beam would make a bucket of its own instead.
        raise ConfigError(f"BUCKET is {settings.bucket!r}, not gs:// and the name of a bucket")
    given = [
        "--runner=DataflowRunner",
        f"--project={settings.project}",
        f"--region={settings.region}",
        f"--job_name={job_name}",
        f"--temp_location={settings.bucket}/dataflow/temp",
        f"--staging_location={settings.bucket}/dataflow/staging",
        f"--sdk_container_image={settings.image}",
        "--sdk_location=container",
        "--no_save_main_session",  # Dataflow's default is to upload it
        "--experiments=disable_logging_submission_environment",  # it would be a file to upload
        "--autoscaling_algorithm=THROUGHPUT_BASED",
        f"--max_num_workers={MAX_WORKERS}",
    ]
    if streaming:
        given += ["--streaming", "--enable_streaming_engine"]
    if settings.service_account:
        given.append(f"--service_account_email={settings.service_account}")
    return PipelineOptions([*given, *beam_args])


def _leave() -> NoReturn:
    logger.info("pipeline.stopped")
    logging.shutdown()
    os._exit(0)
