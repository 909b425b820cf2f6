"""`pmpctl demo`."""

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pmpctl.local.local_stack import project_root
from pmpctl.local.state_folder import StateFolder
from pmpctl.local.variables import SIMULATED
from pmpctl.target import local_stack


def register(app: typer.Typer) -> None:
    """Adds the command to `pmpctl`."""
    app.command()(demo)


def demo(
    feed: Annotated[
        str, typer.Option(help="simulated, live (Vélib itself), or the path of captured feeds.")
    ] = SIMULATED,
) -> None:
    """Starts a stack of its own, drives the pipeline, shows rows from BigQuery, stops; report in .pmp/demo.json."""
    from pmpctl.demo.run import run  # noqa: PLC0415 - Google's client takes a second to import

    folder = project_root(Path.cwd()) / ".pmp"
    stack = local_stack()
    stack = replace(stack, state=StateFolder(folder / f"demo-{stack.ports.base}"))
    # The stack is stopped after SIGTERM, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise typer.Exit(0 if run(feed, stack, folder / "demo.json", Console()) else 1)
