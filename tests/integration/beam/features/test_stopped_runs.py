"""A run that is told to end itself, as Cloud Run does at its deadline, while BigQuery lets it wait."""

import json
import socket

import pytest

from tests.fakes.pipeline_process import pipeline_process
from tests.fakes.pubsub_server import pubsub_server

pytestmark = pytest.mark.integration


def test_a_run_on_dataflow_that_is_stopped_tells_that_it_has_failed(tmp_path):
    with pubsub_server() as pubsub, socket.create_server(("127.0.0.1", 0)) as silent:

        def told():
            events = [json.loads(message.data) for _, message in pubsub.published]
            return [(event["type"], event["data"].get("error")) for event in events]

        env = {
            "PROJECT_ID": "pmp-test",
            "PUBSUB_EMULATOR_HOST": pubsub.address,
            "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        arguments = ["station_features"]
        silent.settimeout(30)
        with pipeline_process(arguments, env, tmp_path / "run.log") as process, silent.accept()[0]:
            assert process.stop() == 1
        assert told() == [("feature_run.started", None), ("feature_run.failed", "SystemExit: SIGTERM")]
