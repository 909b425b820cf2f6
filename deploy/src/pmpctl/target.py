"""What a command works on: the local stack, or a project in the cloud."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pmpctl.errors import CommandError
from pmpctl.local.environment import LocalStack


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
    return {**local_stack().variables, **os.environ}


def local_stack() -> LocalStack:
    """The stack that this shell means."""
    return LocalStack.from_env(os.environ, Path.cwd())
