"""The images that Terraform runs: small, without root, on a read-only file system."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.compose.conftest import Images
from tests.fakes.waiting import eventually

# The first test also pays for the images.
pytestmark = [pytest.mark.compose, pytest.mark.timeout(1500)]

SERVICES = ("collector", "writer", "dlq-replayer", "feature-launcher", "dashboard")
CONTAINED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
# Nothing listens there: a service that needed one of them to be up would not start.
NOWHERE = "127.0.0.1:1"
VARIABLES = {
    "PROJECT_ID": "pmp-local",
    "PUSH_AUTH": "none",
    "PUBSUB_EMULATOR_HOST": NOWHERE,
    "BIGQUERY_EMULATOR_HOST": f"http://{NOWHERE}",
    "BIGQUERY_STORAGE_EMULATOR_HOST": NOWHERE,
}


@contextmanager
def started(images: Images, folder: str, *options: str) -> Iterator[str]:
    """A container of a service, by its id."""
    env = [f"--env={name}={value}" for name, value in VARIABLES.items()]
    port = "--publish=127.0.0.1:0:8080"
    container = images.run("run", "--detach", *CONTAINED, port, *env, *options, images.name(folder))
    try:
        yield container
    finally:
        images.run("rm", "--force", container)


def status(url: str) -> int | None:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("folder", SERVICES)
def test_a_service_answers_without_root_on_a_read_only_file_system(images: Images, folder: str) -> None:
    with started(images, folder) as container:
        address = images.run("port", container, "8080").splitlines()[0]
        eventually(lambda: status(f"http://{address}/healthz") == 200)
        assert images.run("exec", container, "id", "-u") == "10001"


@pytest.mark.parametrize("folder", SERVICES)
def test_a_services_health_check_passes_for_any_user(images: Images, folder: str) -> None:
    with started(images, folder, "--user=12345:12345") as container:
        eventually(lambda: images.run("inspect", "--format={{.State.Health.Status}}", container) == "healthy")


def test_the_pipelines_image_tells_its_pipelines(images: Images) -> None:
    said = images.run("run", "--rm", *CONTAINED, images.name("beam"), "--help")
    assert "curate_status" in said


def test_the_pipelines_image_has_what_beams_boot_program_asks_for(images: Images) -> None:
    """It ends where `pip show` does not know the SDK; it installs nothing where that does."""
    run = ("run", "--rm", *CONTAINED, "--entrypoint=sh", images.name("beam"), "-c")
    said = images.run(*run, "test -x /opt/apache/beam/boot && python -m pip show apache-beam")
    assert "Version: 2.77." in said


@pytest.mark.parametrize(("folder", "most_mb"), [("collector", 120), ("writer", 320)])
def test_layers_above_the_base_are_small(images: Images, folder: str, most_mb: int) -> None:
    history = images.run(
        "history", "--human=false", "--no-trunc", "--format={{.Size}} {{.CreatedBy}}", images.name(folder)
    ).splitlines()
    (first,) = (i for i, layer in enumerate(history) if "useradd" in layer)
    assert sum(int(layer.split()[0]) for layer in history[: first + 1]) <= most_mb * 1_000_000
