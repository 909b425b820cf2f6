"""What a command works on: the local stack, or a project in the cloud."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pmpctl.errors import CommandError
from pmpctl.local.environment import external_pubsub, state_folder, variables
from pmpctl.local.ports import Ports


class Target(StrEnum):
    LOCAL = "local"
    CLOUD = "cloud"


class Ingestion(StrEnum):
    """Who writes the sensor events."""

    PUSH = "push"
    HIGH_VOLUME = "high-volume"


TargetOption = Annotated[
    Target, typer.Option(help="The emulators, or the project PROJECT_ID with your credentials.")
]
LocationOption = Annotated[
    str | None, typer.Option(help="Location of new datasets; REGION where it is not given.")
]


def settings(target: Target) -> dict[str, str]:
    """The variables of a target; the shell's win over those of the local stack."""
    if target is Target.CLOUD:
        emulators = sorted(name for name in os.environ if name.endswith("EMULATOR_HOST"))
        if emulators:  # Google's clients read them themselves
            raise CommandError(f"--target cloud with {', '.join(emulators)} set: unset them first")
        return dict(os.environ)
    ports = Ports.parse(os.environ.get("PMP_PORT_BASE"))
    state = state_folder(os.environ, ports, Path.cwd())
    return {**variables(ports, state, external_pubsub(os.environ, ports)), **os.environ}
