"""The graphs that Dataflow would get, built without it: names of steps, image, options, nothing to upload.

An update in place finds the state of a step by its name: a name that changes here loses what the job remembers.
"""

import logging
import warnings

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

from pmp_beam.__main__ import main, parser
from pmp_beam.dataflow import dataflow_options
from pmp_beam.settings import Settings
from pmp_runtime import logs

ENV = {
    "PROJECT_ID": "pmp-project",
    "REGION": "europe-west1",
    "BUCKET": "gs://pmp-bucket",
    "BEAM_IMAGE": "europe-docker.pkg.dev/pmp-project/pmp/beam:1",
    "SA": "pmp-beam@pmp-project.iam.gserviceaccount.com",
}
DELIVER = {
    "Write status rows/Append/ParDo(_Append)",
    "Publish derived events/Publish",
    "Publish dead letters/Publish",
    "Publish notices/Publish",
    "Write polls/Append/ParDo(_Append)",
    "Refused rows",
    "Row to dead letter",
    "Give up rows/Publish",
}
STEPS = {
    "curate_status": {
        "Read/Pull/Read",
        "Read/Message",
        "Key by system/ParDo(KeyBySystem)",
        "Curate",
        "Give up messages/Publish",
    }
    | DELIVER,
    "ingest_events": {
        "Read/Pull/Read",
        "Read/Message",
        "Key by event/ParDo(KeyByEvent)",
        "Message/Values",
        "Write events/Append/ParDo(_Append)",
        "Row to dead letter",
        "Dead letters",
        "Give up/Publish",
    },
    "curate_status --backfill-since 2026-01-01T00:00:00Z": {"Once/Impulse", "Systems", "Curate"} | DELIVER,
}
GROUPS = {"beam:transform:group_by_key:v1", "beam:transform:reshuffle:v1"}
# What Beam's own transforms are made of; no state of ours depends on it.
OF_BEAM = ("Read/Pull/Map(", "Read/Pull/ParDo(", "Once/FlatMap(", "Once/Map(", "Spread/", "Kept/")


def dry_run(command, *beam_args):
    args = parser().parse_args([*command.split(), "--runner", "dataflow"])
    settings = Settings.from_env(ENV)
    build, streaming = args.make(settings, args)
    options = dataflow_options(
        settings, ["--dry_run=True", "--no_auth", *beam_args], job_name="job", streaming=streaming
    )
    pipeline = beam.Pipeline(options=options)
    build(pipeline)
    return options, pipeline.run().job.proto_pipeline.components


@pytest.mark.parametrize("command", STEPS)
def test_the_names_of_the_steps_are_what_they_were(command):
    _, components = dry_run(command)
    names = [one.unique_name for one in components.transforms.values() if not one.subtransforms]
    assert len(names) == len(set(names))
    assert {name for name in names if not name.startswith(OF_BEAM)} == STEPS[command]


@pytest.mark.parametrize("command", STEPS)
def test_workers_run_the_image_and_nothing_is_uploaded_for_them(command):
    options, components = dry_run(command)
    (environment,) = components.environments.values()
    assert ENV["BEAM_IMAGE"].encode() in environment.payload
    assert list(environment.dependencies) == []
    setup = options.view_as(SetupOptions)
    assert (setup.setup_file, setup.save_main_session, setup.sdk_location) == (None, False, "container")


@pytest.mark.parametrize("command", STEPS)
def test_keys_of_state_have_a_deterministic_coder(command):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, components = dry_run(command)
    for one in components.transforms.values():
        if one.unique_name == "Curate" and "backfill" not in command:
            (source,) = one.inputs.values()
            coder = components.coders[components.pcollections[source].coder_id]
            assert coder.spec.urn == "beam:coder:kv:v1"
            key = components.coders[coder.component_coder_ids[0]]
            assert key.spec.urn != "beam:coder:pickled_python:v1", one.unique_name


def test_a_streaming_job_has_the_streaming_engine_and_may_grow_only_so_far():
    options = dataflow_options(Settings.from_env(ENV), ["--update"], job_name="job", streaming=True)
    cloud = options.view_as(GoogleCloudOptions)
    assert options.view_as(StandardOptions).streaming
    assert (cloud.project, cloud.region, cloud.job_name) == ("pmp-project", "europe-west1", "job")
    assert (cloud.enable_streaming_engine, cloud.update) == (True, True)
    assert cloud.service_account_email == ENV["SA"]
    assert cloud.staging_location.startswith("gs://pmp-bucket/")
    workers = options.view_as(WorkerOptions)
    assert (workers.autoscaling_algorithm, workers.max_num_workers) == ("THROUGHPUT_BASED", 4)
    assert "disable_logging_submission_environment" in options.view_as(DebugOptions).experiments


def test_sensor_events_are_deduplicated_where_the_source_does_not():
    args = parser().parse_args(["ingest_events", "--runner", "direct"])
    build, _ = args.make(Settings.from_env(ENV), args)
    pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"]))
    build(pipeline)
    assert "Deduplicate" in pipeline.applied_labels


def test_on_dataflow_nothing_comes_between_the_source_of_sensor_events_and_their_append():
    """Neither a state nor a group: the append would be another bundle's, behind the acknowledgement."""
    _, components = dry_run("ingest_events")
    steps = [one.spec for one in components.transforms.values()]
    loads = [step.payload for step in steps if step.urn == "beam:transform:pardo:v1"]
    assert [load for load in loads if beam_runner_api_pb2.ParDoPayload.FromString(load).state_specs] == []
    assert {step.urn for step in steps}.isdisjoint(GROUPS)


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "ERROR"])
def test_workers_log_at_the_levels_of_every_other_process(level):
    settings = Settings.from_env(ENV | {"LOG_LEVEL": level})
    options = dataflow_options(settings, [], job_name="job", streaming=True).get_all_options()
    logs.configure(level)
    ours = {name: logging.getLevelName(logging.getLogger(name).level) for name in logs.OWN_PACKAGES}
    assert options["sdk_harness_log_level_overrides"] == ours
    assert options["default_sdk_harness_log_level"] == logging.getLevelName(logging.getLogger().level)


def test_a_backfill_is_a_batch_job():
    options, _ = dry_run("curate_status --backfill-since 2026-01-01T00:00:00Z")
    assert not options.view_as(StandardOptions).streaming


def test_what_the_user_gives_wins():
    options, _ = dry_run("ingest_events", "--max_num_workers=40", "--experiments=x")
    assert options.view_as(WorkerOptions).max_num_workers == 40
    assert {"x", "disable_logging_submission_environment"} <= {*options.view_as(DebugOptions).experiments}


def test_what_dataflow_needs_and_is_not_set_is_one_line(capsys, monkeypatch):
    for name in ("REGION", "BUCKET", "BEAM_IMAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PROJECT_ID", "pmp-project")
    assert main(["curate_status", "--runner", "DataflowRunner"]) == 2
    assert capsys.readouterr().err == "pmp_beam: unset: REGION, BUCKET, BEAM_IMAGE; Dataflow needs them\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "PIPELINE"),
        (["curate"], "curate_status"),
        (["curate_status", "--runner", "flink"], "--runner"),
        (
            ["curate_status", "--max_num_workers=3"],
            "--max_num_workers=3: options of Beam are for --runner dataflow",
        ),
        (["curate_status", "--backfill-since", "yesterday"], "--backfill-since"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(argv, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
