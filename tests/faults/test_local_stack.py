"""Both emulators as the local stack runs them, the real writer between them, and BigQuery away for half a minute."""

import json
import os
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime

import pytest

from pmp_schema.publisher import Outgoing, PubSubPublisher
from pmp_schema.topology import TOPOLOGY
from pmpctl import resources
from pmpctl.errors import CommandError
from pmpctl.local.stack import healthy
from pmpctl.messaging import PushTarget
from tests.fakes.pubsub_emulator import pubsub_emulator
from tests.fakes.server_process import free_port
from tests.faults.bench import LONG, Outcome, eventually
from tests.faults.service import Service

pytestmark = [pytest.mark.faults, pytest.mark.integration, pytest.mark.timeout(400)]
RATE_PER_S = 10  # the two emulators together drain about thirty a second where the machine is shared
TRIES = 3
SENSOR_EVENTS = TOPOLOGY.topics["sensor-events"]
COUNTS = """
SELECT
  (SELECT COUNT(*) FROM pmp_raw.raw_events) AS written,
  (SELECT COUNT(DISTINCT event_id) FROM pmp_raw.raw_events) AS events,
  (SELECT COUNT(*) FROM pmp_raw.raw_events_unique) AS once,
  (SELECT COUNT(*) FROM pmp_ops.dead_letters) AS dead
"""


class BigQuery:
    """The BigQuery emulator with its tables on disk, so that it can end and begin."""

    def __init__(self, folder):
        self.rest, self.grpc = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.rest}"
        self.storage = f"127.0.0.1:{self.grpc}"
        self.command = [sys.executable, "-m", "pmpctl.local.bigquery", f"--data-dir={folder}"]
        self.command += [f"--rest-port={self.rest}", f"--grpc-port={self.grpc}"]

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(lambda: healthy(f"{self.url}/healthz"), 60, every_s=0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class LocalStack:
    def __init__(self, pubsub, bigquery, writer, project):
        self.bigquery, self.writer = bigquery, writer
        self.clients = resources.connect(project, pubsub_emulator=pubsub, bigquery_emulator=bigquery.url)
        resources.prepare_project(self.clients, TOPOLOGY, location="EU", push=PushTarget(base_url=writer.url))
        self.publisher = PubSubPublisher(self.clients.publisher, project)
        self.published = 0

    def publish_for(self, seconds):
        began_s = due_s = time.monotonic()
        while due_s < began_s + seconds:
            time.sleep(max(0.0, due_s - time.monotonic()))
            events = []
            for _ in range(RATE_PER_S):
                self.published += 1
                events.append(
                    {
                        "event_id": f"e-{self.published}",
                        "station_id": f"S-{self.published % 40}",
                        "ts_iso": datetime.now(UTC).isoformat(),
                        "kind": "pickup",
                        "delta": 1,
                    }
                )
            self.publisher.publish(SENSOR_EVENTS, [Outgoing(json.dumps(event).encode()) for event in events])
            due_s += 1

    def counts(self):
        job = self.clients.bigquery.query(COUNTS, timeout=20, retry=None, job_retry=None)
        (row,) = job.result(timeout=20, retry=None, job_retry=None)
        return dict(row)

    def drained(self):
        counts = self.counts()
        return counts["events"] + counts["dead"] >= self.published

    def settle(self, recovery=None):
        eventually(self.drained, 120, every_s=0.5)
        counts = self.counts()
        return Outcome(
            messages=self.published,
            duplicates=counts["written"] - counts["once"],
            lost=frozenset(str(n) for n in range(self.published - counts["events"] - counts["dead"])),
            dead=tuple({"reason": "?"} for _ in range(counts["dead"])),
            recovery=recovery,
        )


@pytest.fixture
def stack(tmp_path):
    project = f"pmp-{uuid.uuid4().hex[:12]}"
    bigquery = BigQuery(tmp_path / "bigquery")
    try:
        with pubsub_emulator() as pubsub:
            env = {
                "PROJECT_ID": project,
                "PUSH_AUTH": "none",
                "PUBSUB_EMULATOR_HOST": pubsub,
                "BIGQUERY_STORAGE_EMULATOR_HOST": bigquery.storage,
                "PATH": os.environ["PATH"],
            }
            writer = Service("pmp_writer.wsgi:app", env, tmp_path)
            bigquery.start()
            writer.start()
            try:
                yield LocalStack(pubsub, bigquery, writer, project)
            finally:
                writer.kill()
                bigquery.stop()
    except CommandError as error:
        pytest.skip(str(error))


def test_the_bigquery_emulator_ended_for_half_a_minute_under_load(stack, report):
    """5, 7: BigQuery emulator ended and started again under load"""
    for _ in range(TRIES):
        stack.publish_for(2)
        stack.bigquery.stop()
        began_s = time.monotonic()
        stack.publish_for(LONG.outage_s)
        stack.bigquery.start()
        ended_s = time.monotonic()
        eventually(stack.drained, 120, every_s=0.5)
        recovery = (time.monotonic() - ended_s) / (ended_s - began_s)
        outcome = stack.settle(recovery)
        if recovery <= 1.0:
            break
    report(outcome)
    assert (outcome.lost, outcome.dead) == (frozenset(), ())


def test_the_stacks_writer_killed_five_times_under_load(stack, report):
    """2, 3: writer killed five times between both emulators"""
    for _ in range(5):
        stack.publish_for(2)
        stack.writer.kill()
        stack.publish_for(1)
        stack.writer.start()
    outcome = stack.settle()
    report(outcome)
    assert (outcome.lost, outcome.dead) == (frozenset(), ())
