"""Jobs of Dataflow: their options, what is refused before they exist, and their submission."""

import logging
import re
import sys
from collections.abc import Callable, Sequence
from typing import Final

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, TestOptions
from apache_beam.runners.runner import PipelineResult
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from google.cloud.dataflow_v1beta3 import JobState, JobsV1Beta3Client, ListJobsRequest

from pmp_beam import worker_logs
from pmp_beam.runners import Build
from pmp_beam.settings import Settings
from pmp_runtime.config import ConfigError

logger = logging.getLogger(__name__)

IMAGE_PYTHON: Final = (3, 12)
"""Of beam/Dockerfile. A worker refuses every bundle of a graph that another version of Python has made."""
MAX_WORKERS: Final = 4
"""What a runaway backlog may cost; a city is one message a minute."""
LOOK_S: Final = 30.0
"""Before a list of jobs is given up."""
_BUCKET: Final = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_REPLACEABLE: Final = frozenset({JobState.JOB_STATE_RUNNING, JobState.JOB_STATE_DRAINING})


def check_submission(
    settings: Settings, beam_args: Sequence[str], *, python: tuple[int, int] = sys.version_info[:2]
) -> None:
    """Refuses what could not run on Dataflow; to be asked before anything is told or made.

    Args:
        python: version that makes the graph.

    Raises:
        ConfigError: something that Dataflow needs is not set, or the workers have another Python.
    """
    needed = {"REGION": settings.region, "BUCKET": settings.bucket, "BEAM_IMAGE": settings.image}
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise ConfigError(f"unset: {', '.join(missing)}; Dataflow needs them")
    if not _BUCKET.fullmatch(settings.bucket or ""):
        # Beam would make a bucket of its own instead.
        raise ConfigError(f"BUCKET is {settings.bucket!r}, not gs:// and the name of a bucket")
    if python != IMAGE_PYTHON and not is_dry_run(PipelineOptions([*beam_args])):
        ours, theirs = (".".join(map(str, version)) for version in (python, IMAGE_PYTHON))
        raise ConfigError(
            f"this is Python {ours}, and Dataflow's workers refuse what is not made by {theirs}, which they run: "
            f"use `uv run --isolated --python {theirs} --package pmp-beam python -m pmp_beam`, or run BEAM_IMAGE"
        )


def check_update(
    options: PipelineOptions, client: Callable[[], JobsV1Beta3Client] = JobsV1Beta3Client
) -> None:
    """Looks for the job that `--update` replaces: Beam's own look never ends where there is none (2.77).

    Args:
        client: makes one.

    Raises:
        ConfigError: there is none, or Dataflow does not tell.
    """
    cloud = options.view_as(GoogleCloudOptions)
    if not cloud.update or is_dry_run(options):
        return
    active = ListJobsRequest(
        project_id=cloud.project, location=cloud.region, filter=ListJobsRequest.Filter.ACTIVE
    )
    try:
        jobs = [*client().list_jobs(active, timeout=LOOK_S)]
    except (GoogleAPICallError, GoogleAuthError) as error:
        raise ConfigError(f"--update: Dataflow does not tell its jobs: {error}") from error
    if not any(job.name == cloud.job_name and job.current_state in _REPLACEABLE for job in jobs):
        raise ConfigError(f"--update: no running or draining job {cloud.job_name}; start it without --update")


def is_dry_run(options: PipelineOptions) -> bool:
    """Whether the graph is made and nothing is submitted."""
    return bool(options.view_as(TestOptions).dry_run)


def submit(
    build: Build, settings: Settings, beam_args: Sequence[str], *, job_name: str, streaming: bool
) -> PipelineResult:
    """Submits a pipeline to Dataflow; returns when the job exists.

    Args:
        beam_args: further options of Beam and Dataflow; they win.

    Raises:
        ConfigError: there is no job to replace, or Dataflow does not tell.
    """
    options = dataflow_options(settings, beam_args, job_name=job_name, streaming=streaming)
    check_update(options)
    pipeline = beam.Pipeline(options=options)
    build(pipeline)
    result = pipeline.run()
    logger.info(
        "job.submitted", extra={"job_name": job_name, "job_id": getattr(result, "job_id", lambda: "")()}
    )
    return result


def dataflow_options(
    settings: Settings, beam_args: Sequence[str], *, job_name: str, streaming: bool
) -> PipelineOptions:
    """Options of a Dataflow job whose workers run this package's own image; nothing is uploaded but the graph."""
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
        *worker_logs.options(settings.log_level),
    ]
    if streaming:
        given += ["--streaming", "--enable_streaming_engine"]
    if settings.service_account:
        given.append(f"--service_account_email={settings.service_account}")
    return PipelineOptions([*given, *beam_args])
