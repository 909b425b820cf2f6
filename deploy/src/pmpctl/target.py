"""What a command works on: the local stack, or a project in the cloud."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from pmpctl.errors import CommandError
from pmpctl.local.local_stack import LocalStack


class Target(StrEnum):
    LOCAL = "local"
    CLOUD = "cloud"


TargetOption = Annotated[
    Target, typer.Option(help="The emulators, or the project PROJECT_ID with your credentials.")
]
# Options below these headings of a command's help are for one target only.
LOCAL_PANEL: Final = "Options of the local stack"
CLOUD_PANEL: Final = "Options of --target cloud"


def check_options(context: typer.Context, target: Target) -> None:
    """Raises:
    CommandError: an option was given that only the other target has.
    """
    panel, other = (CLOUD_PANEL, Target.CLOUD) if target is Target.LOCAL else (LOCAL_PANEL, Target.LOCAL)
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        given = source is not None and source.name != "DEFAULT"
        if given and getattr(parameter, "rich_help_panel", None) == panel:
            raise CommandError(f"{parameter.opts[0]} is for --target {other} only")


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
