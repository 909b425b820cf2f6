"""The local stack, once per session, with a writer that a test may kill."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from google.cloud import bigquery
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from pmp_runtime.bigquery.queries import query_client
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmpctl.errors import CommandError
from pmpctl.local.ports import OFFSETS, Ports, require_free
from pmpctl.local.variables import variables
from tests.fakes.waiting import eventually

SETTINGS = "python:pmp_runtime.http.gunicorn_settings"
ROOT = Path(__file__).parents[2]


@dataclass
class Stack:
    """The running stack.

    Attributes:
        env: variables of the services.
        writer: the writer's process; replaced when a test restarts it.
    """

    env: dict[str, str]
    log: Path
    writer: subprocess.Popen[bytes] | None = None

    @property
    def publisher(self) -> PubSubPublisher:
        channel = grpc.insecure_channel(self.env["PUBSUB_EMULATOR_HOST"])
        client = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        return PubSubPublisher(client, self.env["PROJECT_ID"], timeout_s=20.0)

    @property
    def bigquery(self) -> bigquery.Client:
        return query_client(self.env["PROJECT_ID"], self.env["BIGQUERY_EMULATOR_HOST"])

    def start_writer(self) -> None:
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "-c",
            SETTINGS,
            "pmp_writer.wsgi:app",
        ]
        port = self.env["WRITER_URL"].rsplit(":", 1)[-1]
        with self.log.open("ab") as log:
            self.writer = subprocess.Popen(
                command,
                env=os.environ | self.env | {"PORT": port},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(lambda: healthy(self.env["WRITER_URL"]), timeout_s=40)

    def kill_writer(self) -> None:
        assert self.writer is not None
        os.killpg(self.writer.pid, 9)
        self.writer.wait(10)

    def query(self, sql: str, **parameters: str) -> list[dict[str, object]]:
        config = bigquery.QueryJobConfig(
            query_parameters=[bigquery.ScalarQueryParameter(k, "STRING", v) for k, v in parameters.items()],
            use_query_cache=False,
        )
        job = self.bigquery.query(sql, job_config=config, timeout=20, retry=None, job_retry=None)
        return [dict(row) for row in job.result(timeout=20, retry=None, job_retry=None)]


def healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def free_port_base() -> int:
    """A base whose ports are all free now; processes of pytest-xdist look in ranges of their own."""
    first = 21000 + 1000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for base in range(first, first + 1000, 100):
        with suppress(CommandError):
            require_free((name, Ports(base).of(name)) for name in OFFSETS)
            return base
    raise AssertionError("no free ports")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    base = str(free_port_base())
    env = {**os.environ, "PMP_PORT_BASE": base, "PMP_STATE_DIR": str(folder)}
    env.pop("PUBSUB_EMULATOR_HOST", None)
    pmpctl = [sys.executable, "-m", "pmpctl", "local"]
    without = ["--without", "scheduler", "--without", "writer", "--without", "curation"]
    without += ["--without", "launcher", "--without", "dashboard"]
    up = subprocess.run(
        [*pmpctl, "up", "--detach", "--ephemeral", *without],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert up.returncode == 0, up.stderr
    running = Stack(variables(Ports.parse(base), folder), folder / "writer.log")
    try:
        running.start_writer()
        yield running
    finally:
        if running.writer is not None and running.writer.poll() is None:
            running.writer.send_signal(15)
            running.writer.wait(20)
        subprocess.run([*pmpctl, "down"], env=env, cwd=ROOT, check=True, capture_output=True, timeout=60)
