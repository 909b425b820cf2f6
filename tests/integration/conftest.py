"""Both emulators, as the local stack starts them, and a project of its own for every test."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pmpctl.errors import CommandError
from pmpctl.local.pubsub_emulator import docker_answers, pubsub_command
from pmpctl.local.stack import healthy
from pmpctl.project import resources
from tests.fakes.server_process import free_port


@dataclass(frozen=True)
class Emulators:
    pubsub: str
    bigquery: str
    storage: str


def serve(stack, command, health):
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(child.wait, 20)
    stack.callback(child.terminate)
    deadline = time.monotonic() + 60
    while not healthy(health):
        assert child.poll() is None, f"{command} ended with {child.returncode}"
        assert time.monotonic() < deadline, f"{health} does not answer"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def emulators(tmp_path_factory):
    pubsub = os.environ.get("PUBSUB_EMULATOR_HOST")
    with ExitStack() as stack:
        if not pubsub:
            port = free_port()
            try:
                command = pubsub_command(
                    os.environ, port, which=shutil.which, home=Path.home(), docker_answers=docker_answers
                )
            except CommandError as error:
                pytest.skip(str(error))
            pubsub = f"127.0.0.1:{port}"
            serve(stack, command, f"http://{pubsub}/")
        rest, grpc = free_port(), free_port()
        bigquery = f"http://127.0.0.1:{rest}"
        command = [
            sys.executable,
            "-m",
            "pmpctl.local.bigquery_emulator",
            f"--rest-port={rest}",
            f"--grpc-port={grpc}",
        ]
        data = tmp_path_factory.mktemp("bigquery")
        serve(stack, [*command, f"--data-dir={data}"], f"{bigquery}/healthz")
        yield Emulators(pubsub, bigquery, f"127.0.0.1:{grpc}")


@pytest.fixture
def clients(emulators):
    return resources.connect(
        f"pmp-{uuid.uuid4().hex[:12]}",
        pubsub_emulator=emulators.pubsub,
        bigquery_emulator=emulators.bigquery,
    )
