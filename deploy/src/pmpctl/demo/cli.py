"""`pmpctl demo`."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pmpctl.local.environment import LIVE, SIMULATED, project_root
from pmpctl.local.record import StateFolder
from pmpctl.target import local_stack


def register(app: typer.Typer) -> None:
    """Adds the command to `pmpctl`."""
    app.command()(demo)


def demo(
    feed: Annotated[
        str, typer.Option(help="simulated, live (Vélib itself), or the path of captured feeds.")
    ] = SIMULATED,
) -> None:
    """Starts the stack, drives the pipeline, shows rows from BigQuery, stops; report in .pmp/demo.json."""
    from pmp_runtime.bigquery.queries import query_client  # noqa: PLC0415
    from pmpctl.demo import run as demonstration  # noqa: PLC0415 - only this command needs it
    from pmpctl.demo.landed import Landed  # noqa: PLC0415

    folder = project_root(Path.cwd()) / ".pmp"
    meant = local_stack()
    state = StateFolder(folder / f"demo-{meant.ports.base}")
    values = replace(meant, state=state).variables
    stack = demonstration.Stack(
        variables=values,
        env={**os.environ, "PMP_STATE_DIR": str(state.path)},
        feeds=lambda: demonstration.feeds_to_collect(None if feed == LIVE else meant.ports.url("feed")),
        landed=lambda: Landed(query_client(values["PROJECT_ID"], values["BIGQUERY_EMULATOR_HOST"])),
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stack is stopped then too
    done = demonstration.run(feed, stack, folder / "demo.json", Console())
    raise typer.Exit(0 if done else 1)
