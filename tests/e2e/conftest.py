"""The local stack, once per session."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import grpc
import pytest
from google.cloud import bigquery
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from pmp_runtime.bigquery.queries import query_client
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmpctl.errors import CommandError
from pmpctl.local import background
from pmpctl.local.commands import start
from pmpctl.local.local_stack import LocalStack
from pmpctl.local.ports import OFFSETS, Ports, require_free
from pmpctl.local.processes import StackOptions

WITHOUT = frozenset({"scheduler", "curation", "launcher", "dashboard"})


@dataclass
class Stack:
    """The running stack.

    Attributes:
        env: variables of the services.
    """

    local: LocalStack
    env: dict[str, str]

    @property
    def publisher(self) -> PubSubPublisher:
        channel = grpc.insecure_channel(self.env["PUBSUB_EMULATOR_HOST"])
        client = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        return PubSubPublisher(client, self.env["PROJECT_ID"], timeout_s=20.0)

    @property
    def bigquery(self) -> bigquery.Client:
        return query_client(self.env["PROJECT_ID"], self.env["BIGQUERY_EMULATOR_HOST"])

    def kill(self, name: str) -> None:
        """Kills a service; the stack starts it again."""
        record = self.local.state.running()
        assert record is not None
        (pid,) = [p.identity.pid for p in record.processes if p.name == name and p.identity]
        os.killpg(pid, signal.SIGKILL)

    def query(self, sql: str, **parameters: str) -> list[dict[str, object]]:
        config = bigquery.QueryJobConfig(
            query_parameters=[bigquery.ScalarQueryParameter(k, "STRING", v) for k, v in parameters.items()],
            use_query_cache=False,
        )
        job = self.bigquery.query(sql, job_config=config, timeout=20, retry=None, job_retry=None)
        return [dict(row) for row in job.result(timeout=20, retry=None, job_retry=None)]


def free_port_base() -> int:
    """A base whose ports are all free now; another one in every process."""
    first = 21000 + os.getpid() % 40 * 200
    for base in range(first, first + 8000, 200):
        with suppress(CommandError):
            require_free((name, Ports(base).of(name)) for name in OFFSETS)
            return base
    raise AssertionError("no free ports")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    env = {**os.environ, "PMP_PORT_BASE": str(free_port_base()), "PMP_STATE_DIR": str(folder)}
    env.pop("PUBSUB_EMULATOR_HOST", None)
    local = LocalStack.from_env(env, folder)
    start(StackOptions(feed="simulated", ephemeral=True, without=WITHOUT), local, quiet=True)
    try:
        yield Stack(local, local.variables)
    finally:
        background.stop(local.state)
