"""The pipeline of compose.yaml under a project name of its own, removed with its volumes and images."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pmp_runtime.bigquery.queries import query_client
from pmp_schema.topology import TOPOLOGY

ROOT = Path(__file__).parents[2]
BUILD_S, START_S, STOP_S = 1200, 180, 90
# Port 0: the engine chooses one that is free, so that a stack may run beside this one.
PORTS = (
    "COLLECTOR",
    "WRITER",
    "REPLAYER",
    "LAUNCHER",
    "DASHBOARD",
    "PUBSUB",
    "FEED_SERVER",
    "BIGQUERY",
    "BIGQUERY_STORAGE",
)


@dataclass(frozen=True)
class Tool:
    """The Compose found on this machine: `docker compose`, else `docker-compose` 1.29.

    Attributes:
        path: begins with the folder of a Docker client that can build.
    """

    command: tuple[str, ...]
    path: str


@dataclass(frozen=True)
class Stack:
    tool: Tool
    project: str
    env: Mapping[str, str]

    def compose(self, *arguments: str, timeout_s: float = START_S) -> str:
        command = [*self.tool.command, "-p", self.project, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False, timeout=timeout_s
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def up(self, *services: str) -> None:
        """Starts services and what they depend on; what their logs say is part of a failure."""
        try:
            self.compose("up", "-d", *services)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('logs', '--no-color', '--tail=30')}") from None

    def url(self, service: str, port: int) -> str:
        return f"http://{self.compose('port', service, str(port)).strip()}"

    def inside(self, service: str, *command: str) -> str:
        return self.compose("exec", "-T", service, *command).strip()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        client = query_client(TOPOLOGY.local_project, self.url("bigquery", 9050))
        return [dict(row) for row in client.query(sql, timeout=20, retry=None).result(timeout=20, retry=None)]


def _says(*command: str) -> str | None:
    """What a command prints; None where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _builds(client: str) -> bool:
    """Clients before 23 have BuildKit built in; later ones need a plugin."""
    version = _says(client, "version", "--format", "{{.Client.Version}}") or ""
    major = version.partition(".")[0]
    return _says(client, "buildx", "version") is not None or (major.isdigit() and int(major) < 23)


def _find(clients: Sequence[str], path: str) -> Tool | None:
    for client in clients:
        if _says(client, "compose", "version") is not None:
            return Tool((client, "compose"), path)
    old = shutil.which("docker-compose")
    for client in clients:
        if old is not None and _builds(client):
            # docker-compose builds with the first client of its path.
            return Tool((old,), os.pathsep.join([str(Path(client).parent), path]))
    return None


def _clients(path: str) -> tuple[str, ...]:
    """The Docker clients of a path, where an engine answers."""
    found = (shutil.which("docker", path=folder) for folder in path.split(os.pathsep))
    clients = tuple(dict.fromkeys(client for client in found if client is not None))
    if not clients:
        pytest.skip("there is no docker command")
    if not any(_says(client, "info", "--format", "{{.ServerVersion}}") for client in clients):
        pytest.skip("no Docker engine answers")
    return clients


def _tool() -> Tool:
    path = os.environ.get("PATH", os.defpath)
    tool = _find(_clients(path), path)
    if tool is None:
        pytest.skip("neither docker compose nor docker-compose with a client that has BuildKit")
    return tool


@dataclass(frozen=True)
class Images:
    """The images of `make images`.

    Attributes:
        docker: a client.
        tag: of every image, of this run alone.
    """

    docker: str
    tag: str

    def name(self, folder: str) -> str:
        return f"pmp-{folder}:{self.tag}"

    def run(self, *arguments: str, timeout_s: float = 60) -> str:
        command = [self.docker, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()


@pytest.fixture(scope="session")
def images() -> Iterator[Images]:
    """Built by `make images`, and removed."""
    clients = _clients(os.environ.get("PATH", os.defpath))
    if not any(_builds(client) for client in clients):
        pytest.skip("no docker client has BuildKit")
    images = Images(clients[0], f"test-{uuid4().hex[:8]}")
    make = ["make", "images", f"TAG={images.tag}"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=False, timeout=BUILD_S)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    yield images
    built = images.run("images", "--format", "{{.Repository}}:{{.Tag}}", f"--filter=reference=*:{images.tag}")
    images.run("rmi", *built.split())


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Everything but the scheduler, so that nothing is collected but what a test asks for."""
    tool = _tool()
    build = {"DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1"}
    ours = {f"{name}_PORT": "0" for name in PORTS}
    kept = {k: v for k, v in os.environ.items() if k not in {"FEED_PATH", "FEED_SPEED", "FEEDS"}}
    stack = Stack(tool, f"pmp-test-{uuid4().hex[:8]}", {**kept, **build, **ours, "PATH": tool.path})
    try:
        stack.compose("build", timeout_s=BUILD_S)
        stack.up("collector", "writer", "launcher", "dashboard", "curation")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--rmi=local", timeout_s=STOP_S)
