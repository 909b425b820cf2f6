"""Both emulators as the local stack runs them, and a project with the real writer between them."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1 import PubsubMessage

from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema.topology import TOPOLOGY
from pmpctl.local.stack import healthy
from pmpctl.project import resources
from tests.fakes.server_process import ServerProcess, free_port
from tests.fakes.waiting import eventually
from tests.faults.bench import Outcome

SENSOR_EVENTS = TOPOLOGY.topics["sensor-events"]
HOLD = next(s for s in TOPOLOGY.subscriptions if s.topic.key == "dead-letters" and s.push_path is None)
RAW = "SELECT (SELECT COUNT(*) FROM pmp_raw.raw_events) - COUNT(*) AS more FROM pmp_raw.raw_events_unique"
ONCE = "SELECT event_id FROM pmp_raw.raw_events_unique"
DEAD = "SELECT DISTINCT dead_letter_id, original_message_id, reason, replay_count FROM pmp_ops.dead_letters"


class BigQuery:
    """The BigQuery emulator with its tables on disk, so that it can end and begin."""

    def __init__(self, folder: Path) -> None:
        self.rest, self.grpc = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.rest}"
        self.storage = f"127.0.0.1:{self.grpc}"
        self.command = [sys.executable, "-m", "pmpctl.local.bigquery_emulator", f"--data-dir={folder}"]
        self.command += [f"--rest-port={self.rest}", f"--grpc-port={self.grpc}"]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(lambda: healthy(f"{self.url}/healthz"), 60, every_s=0.1)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)


class LocalStack:
    """A project of its own.

    Attributes:
        published: by message id the event that must be a row; None where the message must be a dead letter.
    """

    def __init__(self, pubsub: str, bigquery: BigQuery, folder: Path, env: dict[str, str]) -> None:
        self.project = f"pmp-{uuid.uuid4().hex[:12]}"
        self.bigquery, self._folder = bigquery, folder
        self._env = {"PROJECT_ID": self.project, "PUBSUB_EMULATOR_HOST": pubsub, **env}
        self.writer = self.service(
            "pmp_writer.wsgi:app", PUSH_AUTH="none", BIGQUERY_STORAGE_EMULATOR_HOST=bigquery.storage
        )
        self.clients = resources.connect(self.project, pubsub_emulator=pubsub, bigquery_emulator=bigquery.url)
        resources.prepare_project(self.clients, TOPOLOGY, location="EU", push_url=self.writer.url)
        self.publisher = PubSubPublisher(self.clients.publisher, self.project)
        self.published: dict[str, str | None] = {}

    def service(self, app: str, **env: str) -> ServerProcess:
        """A service of this project, not started."""
        return ServerProcess(app, self._env | env, self._folder)

    def event(self, **changes: Any) -> dict[str, Any]:
        number = uuid.uuid4().hex
        return {
            "event_id": f"e-{number}",
            "station_id": f"S-{number[0]}",
            "ts_iso": datetime.now(UTC).isoformat(),
            "kind": "pickup",
            "delta": 1,
        } | changes

    def publish(self, messages: int, **changes: Any) -> None:
        """Sensor events that must become rows, whatever is wrong with them now."""
        events = [self.event(**changes) for _ in range(messages)]
        ids = self._publish(json.dumps(event).encode() for event in events)
        self.published |= {message: event["event_id"] for message, event in zip(ids, events, strict=True)}

    def poison(self, messages: int) -> None:
        self.published |= dict.fromkeys(self._publish(b"poison %d" % n for n in range(messages)))

    def _publish(self, data: Iterable[bytes]) -> list[str]:
        return self.publisher.publish(SENSOR_EVENTS, [Outgoing(one) for one in data])

    def publish_for(self, seconds: float, rate_per_s: int) -> None:
        began_s = due_s = time.monotonic()
        while due_s < began_s + seconds:
            time.sleep(max(0.0, due_s - time.monotonic()))
            self.publish(rate_per_s)
            due_s += 1

    def query(self, sql: str) -> list[dict[str, Any]]:
        job = self.clients.bigquery.query(sql, timeout=20, retry=None, job_retry=None)
        return [dict(row) for row in job.result(timeout=20, retry=None, job_retry=None)]

    def dead(self) -> list[dict[str, Any]]:
        """A row per dead letter."""
        return self.query(DEAD)

    def held(self, wait_s: float = 1.0) -> list[PubsubMessage]:
        """Everything that the hold hands out until nothing has come for so long; it stays there no longer."""
        found: list[PubsubMessage] = []
        path, last_s = HOLD.path(self.project), time.monotonic()
        while time.monotonic() - last_s < wait_s:
            try:
                answer = self.clients.subscriber.pull(
                    subscription=path, max_messages=1000, timeout=2, retry=None
                )
            except DeadlineExceeded:
                continue
            if answer.received_messages:
                ack_ids = [one.ack_id for one in answer.received_messages]
                self.clients.subscriber.acknowledge(subscription=path, ack_ids=ack_ids, timeout=10)
                found += [one.message for one in answer.received_messages]
                last_s = time.monotonic()
        return found

    def outcome(self, recovery: float | None = None) -> Outcome:
        """What became of everything so far; an event that is in the unique view twice fails."""
        events = [row["event_id"] for row in self.query(ONCE)]
        assert len(events) == len(set(events))
        assert set(events) <= set(self.published.values()), "rows that nobody has published"
        dead = self.dead()
        arrived = set(events) | {row["original_message_id"] for row in dead}
        (duplicates,) = self.query(RAW)
        return Outcome(
            messages=len(self.published),
            duplicates=duplicates["more"],
            lost=frozenset(m for m, event in self.published.items() if (event or m) not in arrived),
            dead=tuple(dead),
            recovery=recovery,
        )

    def settle(self, timeout_s: float = 120, *, recovery: float | None = None) -> Outcome:
        """Waits until nothing is lost; fails where something remains so."""
        deadline_s = time.monotonic() + timeout_s
        while (outcome := self.outcome(recovery)).lost and time.monotonic() < deadline_s:
            time.sleep(0.5)
        assert outcome.lost == frozenset()
        return outcome
