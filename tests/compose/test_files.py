"""What compose.yaml and the Dockerfiles promise; read, not run."""

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from pmp_collector.config import load_systems
from pmp_schema.topology import TOPOLOGY
from pmpctl.local.ports import Ports

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text("utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
DOCKERFILES = sorted([*ROOT.glob("*/Dockerfile"), *(ROOT / "deploy" / "docker").glob("*.Dockerfile")])
OWN = (
    "collector/Dockerfile",
    "writer/Dockerfile",
    "dlq-replayer/Dockerfile",
    "feature-launcher/Dockerfile",
    "dashboard/Dockerfile",
    "beam/Dockerfile",
    "deploy/Dockerfile",
    "deploy/docker/bigquery.Dockerfile",
)
# The name of the same port in the local stack without containers.
PUBLISHED = {
    "COLLECTOR_PORT": "collector",
    "WRITER_PORT": "writer",
    "REPLAYER_PORT": "replayer",
    "LAUNCHER_PORT": "launcher",
    "DASHBOARD_PORT": "dashboard",
    "PUBSUB_PORT": "pubsub",
    "FEED_SERVER_PORT": "feed",
    "BIGQUERY_PORT": "bigquery",
    "BIGQUERY_STORAGE_PORT": "bigquery-grpc",
}


def instructions(dockerfile: Path) -> list[str]:
    """The instructions with continued lines joined and comments left out."""
    lines = [line for line in dockerfile.read_text("utf-8").splitlines() if not line.startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", "").splitlines() if line]


def test_ports_are_those_of_the_local_stack_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    found = {}
    for port in published:
        match = re.fullmatch(r"127\.0\.0\.1:\$\{(\w+):-(\d+)\}:\d+", port)
        assert match is not None, port
        found[match[1]] = int(match[2])
    assert found == {variable: Ports().of(name) for variable, name in PUBLISHED.items()}


def test_the_project_is_the_topologys() -> None:
    assert set(re.findall(r"pmp-local|(?<=PROJECT_ID: )\S+|(?<=--project=)[\w-]+", TEXT)) == {
        TOPOLOGY.local_project
    }


def test_no_topic_subscription_or_dataset_is_spelled() -> None:
    topics = [topic.id for topic in TOPOLOGY.topics.values()]
    names = [*topics, *(s.id for s in TOPOLOGY.subscriptions), *TOPOLOGY.datasets]
    assert [name for name in names if name in TEXT] == []


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_is_read_only_and_has_no_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    built = (ROOT / service["build"]["dockerfile"]) if "build" in service else None
    assert built in DOCKERFILES or str(service["user"]).partition(":")[0] not in {"0", "root"}


def test_the_collector_polls_a_service_of_this_file() -> None:
    (system,) = load_systems(ROOT / "deploy" / "docker" / "feeds.toml")
    assert urlsplit(system.discovery_url).hostname in SERVICES


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_image_runs_without_root(dockerfile: Path) -> None:
    users = [line for line in instructions(dockerfile) if line.startswith("USER ")]
    assert users == ["USER 10001"]


def test_images_are_built_in_one_shape() -> None:
    shapes = set()
    for name in OWN:
        lines = instructions(ROOT / name)
        build = " ".join(lines[: lines.index("FROM python:3.12-slim")])
        build = re.sub(r"--(extra|no-install-package) \S+", "", build)
        build = re.sub(r"--package \S+|COPY (?!shared)(\S+) \1", "NAME", build)
        shapes.add(" ".join(build.split()))
    assert len(shapes) == 1, shapes


def test_what_terraform_runs_is_what_is_built_and_pushed() -> None:
    run = {*(service.id for service in TOPOLOGY.services.values()), "pmp-beam"}
    makefile = re.search(r"^IMAGES := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    cloud = re.search(r"for folder in (.*); do", (ROOT / "deploy" / "cloudbuild.yaml").read_text("utf-8"))
    assert makefile is not None
    assert cloud is not None
    assert {f"pmp-{folder}" for folder in makefile[1].split()} == run
    assert {f"pmp-{folder}" for folder in cloud[1].split()} == run
    assert [path for path in cloud[1].split() if not (ROOT / path / "Dockerfile").is_file()] == []


def test_every_job_may_only_read_and_ends() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text("utf-8"))
        assert workflow["permissions"] == {"contents": "read"}, path
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 60, path
            uses = [step["uses"] for step in job["steps"] if "uses" in step]
            assert [use for use in uses if not re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+", use)] == [], path


def test_the_workflows_run_what_the_gate_runs() -> None:
    gate = re.findall(r"^make .*$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    workflows = [
        yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github" / "workflows").glob("*.yml")
    ]
    jobs = [job for workflow in workflows for job in workflow["jobs"].values()]
    run = {step["run"] for job in jobs for step in job["steps"] if "run" in step}
    assert gate
    assert set(gate) <= run


def test_every_project_names_the_licence() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")
    projects = [
        ROOT / "pyproject.toml",
        *ROOT.glob("*/pyproject.toml"),
        *ROOT.glob("shared/*/pyproject.toml"),
    ]
    licences = {path: tomllib.loads(path.read_text("utf-8"))["project"].get("license") for path in projects}
    assert set(licences.values()) == {"Apache-2.0"}, licences
