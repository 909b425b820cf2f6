"""Log lines of a worker: Beam's own start of one, with the options of a job, in front of its logging service."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from pmp_beam.dataflow import dataflow_options
from pmp_beam.settings import Settings

WORKER = """
import logging, os
from apache_beam.runners.worker import sdk_worker_main
from pmp_runtime import logs
sdk_worker_main.create_harness(os.environ, dry_run=True)
logger = logging.getLogger("pmp_curation.curator")
logger.debug("snapshot.seen")
with logs.bound(message_id="m-1"):
    logger.info("snapshot.curated", extra={"system": "velib", "at": b"x"})
logging.getLogger("pmp_runtime.pubsub.publisher").info("plain")
logging.getLogger("urllib3").info("a URL")
logging.getLogger("urllib3").warning("a retry")
try:
    raise ValueError("odd")
except ValueError:
    logging.getLogger("google").exception("failed", extra={"n": 2})
for handler in logging.getLogger().handlers:
    handler.close()
"""


class Service(beam_fn_api_pb2_grpc.BeamFnLoggingServicer):
    """The runner's end."""

    def __init__(self):
        self.entries = []

    def Logging(self, lists, context):  # noqa: N802 - of the protocol
        for received in lists:
            self.entries += received.log_entries
        yield beam_fn_api_pb2.LogControl()


@pytest.fixture
def entries(tmp_path, level):
    """What a worker's lines become."""
    service = Service()
    server = grpc.server(ThreadPoolExecutor(2))
    beam_fn_api_pb2_grpc.add_BeamFnLoggingServicer_to_server(service, server)
    url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    settings = Settings(project="p", region="r", bucket="gs://bucket", image="i", log_level=level)
    options = dataflow_options(settings, [], job_name="job", streaming=True)
    env = {
        "LOGGING_API_SERVICE_DESCRIPTOR": f'url: "{url}"',
        "CONTROL_API_SERVICE_DESCRIPTOR": 'url: "127.0.0.1:9"',
        "PIPELINE_OPTIONS": json.dumps({"options": options.get_all_options(drop_default=True)}),
    }
    subprocess.run([sys.executable, "-c", WORKER], env=os.environ | env, cwd=tmp_path, timeout=60, check=True)
    server.stop(5).wait()
    return [entry for entry in service.entries if "sdk_worker_main" not in entry.log_location]


@pytest.mark.parametrize("level", ["INFO"])
def test_a_workers_line_has_its_fields_and_its_level(entries):
    severity = beam_fn_api_pb2.LogEntry.Severity
    told = [(entry.severity, entry.message.splitlines()[0]) for entry in entries]
    assert told == [
        (severity.INFO, 'snapshot.curated {"message_id": "m-1", "system": "velib", "at": "b\'x\'"}'),
        (severity.INFO, "plain"),
        (severity.WARN, "a retry"),
        (severity.ERROR, 'failed {"n": 2}'),
    ]
    assert entries[-1].message.splitlines()[-1] == "ValueError: odd"


@pytest.mark.parametrize("level", ["ERROR"])
def test_a_worker_that_tells_errors_only_tells_no_warnings_of_libraries(entries):
    assert [entry.message.splitlines()[0] for entry in entries] == ['failed {"n": 2}']
