"""The job that Dataflow would get, built without it."""

import warnings
from datetime import UTC, date, datetime

import apache_beam as beam

from pmp_beam.dataflow import dataflow_options
from pmp_beam.runners import Runner
from pmp_beam.settings import Settings
from pmp_beam.station_features.debug import DebugOutput
from pmp_beam.station_features.feature_run import Completion, Run
from pmp_beam.station_features.run_bigquery import RunBigQuerySource
from pmp_beam.station_features.run_work import Work
from pmp_schema.features import FeatureTables, Scope

AS_OF = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)
SCOPE = Scope(
    as_of=AS_OF, known_at=AS_OF, open_from=date(2025, 11, 15), late_dates=(), first_date=date(2025, 10, 18)
)
ENV = {
    "PROJECT_ID": "pmp-project",
    "REGION": "europe-west1",
    "BUCKET": "gs://bucket",
    "BEAM_IMAGE": "image:1",
}
STEPS = {
    "CutDeliveries",
    "CutCounts",
    "Stations",
    "ByCity",
    "Rows",
    "Append/ParDo(_Append)",
    "Refuse",
    "Count",
    "Finish",
}


def test_the_graph_has_its_steps_and_no_key_without_a_deterministic_coder():
    settings = Settings.from_env(ENV)
    run = Run(id="r-1", attempt_id="r-1-a1", process="a1", as_of=AS_OF, known_at=AS_OF)
    debug = DebugOutput("gs://bucket", run.id)
    work = Work(run, settings, runner=Runner.DATAFLOW, wait=False, shards=None, debug=debug, beam_args=[])
    finish = Completion(run, FeatureTables.of("p"), RunBigQuerySource("p", None, 900.0))
    dry = ["--dry_run=True", "--no_auth"]
    options = dataflow_options(settings, dry, job_name="job", streaming=False)
    pipeline = beam.Pipeline(options=options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        work._build(SCOPE, 16, finish)(pipeline)
    components = pipeline.run().job.proto_pipeline.components
    names = [one.unique_name for one in components.transforms.values()]
    assert {step for step in STEPS if any(name.endswith(step) for name in names)} == STEPS
