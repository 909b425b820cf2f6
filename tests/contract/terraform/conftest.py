"""The module, read as text, and applied by Terraform itself against a stand-in of Google's provider."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.terraform.plugin import reattached

MODULE = Path(__file__).parents[3] / "deploy" / "terraform"
SCHEMA = json.loads(Path(__file__).with_name("provider_schema.json").read_text("utf-8"))


@dataclass(frozen=True)
class Terraform:
    """Terraform on the module, with a state of its own."""

    program: str
    folder: Path
    env: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, f"-chdir={MODULE}", *arguments],
            env=self.env | {"TF_DATA_DIR": str(self.folder / "data")},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def apply(self, **variables: Any) -> dict[str, dict[str, Any]]:
        """Values of every resource by address, after an apply with these variables."""
        return self._apply(self.folder / "terraform.tfstate", variables)

    def new(self, **variables: Any) -> dict[str, dict[str, Any]]:
        """The same of a project of its own."""
        with tempfile.TemporaryDirectory() as folder:
            return self._apply(Path(folder) / "terraform.tfstate", variables)

    def _apply(self, state: Path, variables: dict[str, Any]) -> dict[str, dict[str, Any]]:
        applied = self.run(
            "apply", "-auto-approve", "-input=false", "-no-color", f"-state={state}", *given(variables)
        )
        assert applied.returncode == 0, applied.stderr + applied.stdout[-4000:]
        return {one["address"]: one["values"] for one in self._shown(state)}

    def dependencies(self) -> dict[str, list[str]]:
        """Of everything that was made by `apply`: what was made before it, because it needs that."""
        shown = self._shown(self.folder / "terraform.tfstate")
        return {one["address"]: one.get("depends_on", []) for one in shown if one["mode"] == "managed"}

    def _shown(self, state: Path) -> list[dict[str, Any]]:
        shown = json.loads(self.run("show", "-json", str(state)).stdout)
        resources: list[dict[str, Any]] = shown["values"]["root_module"]["resources"]
        return resources

    def changes(self) -> str:
        """What a plan would still change after an apply with the defaults; empty for nothing."""
        state = self.folder / "terraform.tfstate"
        options = ("-detailed-exitcode", "-input=false", "-no-color", f"-state={state}")
        planned = self.run("plan", *options, *given({}))
        return "" if planned.returncode == 0 else planned.stdout + planned.stderr

    def refused(self, **variables: Any) -> str:
        """What Terraform says against these variables."""
        planned = self.run("plan", "-input=false", "-no-color", *given(variables))
        assert planned.returncode != 0
        return planned.stderr


def given(variables: dict[str, Any]) -> list[str]:
    values = {"project_id": "my-project", "image_tag": "0.1.0"} | variables
    return [f"-var={k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in values.items()]


@pytest.fixture(scope="session")
def provider():
    """The environment in which Terraform finds the stand-in."""
    with tempfile.TemporaryDirectory() as folder, reattached(SCHEMA, Path(folder)) as variables:
        plain = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
        yield plain | variables | {"CHECKPOINT_DISABLE": "1"}


@pytest.fixture(scope="session")
def terraform(provider, tmp_path_factory):
    program = shutil.which("terraform") or shutil.which("tofu")
    if program is None:
        pytest.skip("neither terraform nor tofu is installed")
    terraform = Terraform(program, tmp_path_factory.mktemp("terraform"), provider)
    started = terraform.run("init", "-backend=false", "-input=false", "-no-color")
    assert started.returncode == 0, started.stderr
    return terraform


@pytest.fixture(scope="session")
def resources(terraform):
    """Values of every resource of a project with the defaults, by address."""
    return terraform.apply()


@pytest.fixture(scope="session")
def switching(terraform, tmp_path_factory):
    """Everything on, sensor events on their way to high volume."""
    feeds = tmp_path_factory.mktemp("feeds") / "feeds.toml"
    feeds.write_text("[[systems]]\nid = 'oslo'\n", "utf-8")
    return terraform.new(
        sensor_ingestion="both",
        debug_subscriptions=True,
        feeds_file=str(feeds),
        operators=["user:ada@example.com"],
        dashboard_viewers=["allUsers"],
        alert_emails=[f"{name}@example.com" for name in ("ada", "bob", "cyd", "dan", "eve", "fay")],
        sizes={"writer": {"min": 1, "max": 20}, "dashboard": {"cpu": "0.5", "concurrency": 1}},
    )


@pytest.fixture(scope="session")
def switched(terraform):
    """High volume, features by Dataflow, a test environment without a budget."""
    return terraform.new(
        sensor_ingestion="pull",
        feature_engine="beam",
        environment="test",
        monthly_budget=0,
        subnetwork="regions/europe-west1/subnetworks/workers",
    )
