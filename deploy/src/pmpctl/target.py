"""What a command works on: the local stack, or a project in the cloud."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pmpctl.errors import CommandError
from pmpctl.local.environment import external_pubsub, state_folder, variables
from pmpctl.local.ports import Ports
from pmpctl.local.record import StateFolder


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


def settings(target: Target) -> dict[str, str]:
    """The variables of a target; the shell's win over those of the local stack."""
    if target is Target.CLOUD:
        emulators = sorted(name for name in os.environ if name.endswith("EMULATOR_HOST"))
        if emulators:  # Google's clients read them themselves
            raise CommandError(f"--target cloud with {', '.join(emulators)} set: unset them first")
        return dict(os.environ)
    ports = Ports.parse(os.environ.get("PMP_PORT_BASE"))
    state = local_state().path
    return {**variables(ports, state, external_pubsub(os.environ, ports)), **os.environ}


def local_state() -> StateFolder:
    """Where the local stack keeps its record."""
    ports = Ports.parse(os.environ.get("PMP_PORT_BASE"))
    return StateFolder(state_folder(os.environ, ports, Path.cwd()))
