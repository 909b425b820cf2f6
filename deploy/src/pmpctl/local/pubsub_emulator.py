"""Finds a Pub/Sub emulator to start: the Cloud SDK's jar with Java, or a container."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pmpctl.errors import CommandError
from pmpctl.local.ports import LOOPBACK

IMAGE: Final = "gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators"
_JARS: Final = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*.jar"
_SYSTEM_FOLDERS: Final = ("/usr/lib", "/usr/local", "/opt", "/opt/homebrew/share", "/usr/share")
_HELP: Final = (
    "no Pub/Sub emulator: set PUBSUB_EMULATOR_HOST to a running one, "
    "or install Java and `gcloud components install pubsub-emulator` "
    "(Debian: google-cloud-cli-pubsub-emulator), or start Docker"
)

Which = Callable[[str], str | None]


def pubsub_command(
    env: Mapping[str, str],
    port: int,
    *,
    which: Which,
    home: Path,
    docker_answers: Callable[[], bool],
) -> tuple[str, ...]:
    """The command that serves the emulator on a port of the loopback interface.

    Args:
        env: may hold JAVA_HOME and CLOUDSDK_ROOT or CLOUDSDK_ROOT_DIR.
        which: finds a program on the path.
        home: of the user.
        docker_answers: called only if there is no jar or no Java.

    Raises:
        CommandError: neither is there; the message says what to install.
    """
    own_java = Path(env.get("JAVA_HOME", "")) / "bin" / "java"
    java = str(own_java) if env.get("JAVA_HOME") and own_java.is_file() else which("java")
    jars = (sorted(root.glob(_JARS), key=_version) for root in _sdk_roots(env, which, home))
    newest = next((found[-1] for found in jars if found), None)
    if java is not None and newest is not None:
        return (java, "-jar", str(newest), f"--host={LOOPBACK}", f"--port={port}")
    docker = which("docker")
    if docker is not None and docker_answers():
        # The host's network: the emulator pushes to the writer on the host's loopback interface.
        serve = ("gcloud", "beta", "emulators", "pubsub", "start", f"--host-port={LOOPBACK}:{port}")
        return (docker, "run", "--rm", "--init", "--network=host", IMAGE, *serve)
    raise CommandError(_HELP)


def docker_answers() -> bool:
    """Whether the `docker` command reaches an engine; waits five seconds at most."""
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=5, check=False)  # noqa: S607
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _sdk_roots(env: Mapping[str, str], which: Which, home: Path) -> Iterator[Path]:
    """Folders that may be the Cloud SDK's, most explicit first."""
    yield from (Path(env[name]) for name in ("CLOUDSDK_ROOT", "CLOUDSDK_ROOT_DIR") if env.get(name))
    gcloud = which("gcloud")
    if gcloud is not None:
        yield Path(gcloud).resolve().parent.parent
    yield home / "google-cloud-sdk"
    yield from (Path(folder) / "google-cloud-sdk" for folder in _SYSTEM_FOLDERS)
    yield Path("/snap/google-cloud-cli/current")


def _version(jar: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", jar.name))
