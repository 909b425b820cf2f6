"""`pmpctl demo`."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pmpctl.local.environment import LIVE, SIMULATED, external_pubsub, project_root, variables
from pmpctl.local.ports import Ports


def register(app: typer.Typer) -> None:
    """Adds the command to `pmpctl`."""
    app.command()(demo)


def demo(
    feed: Annotated[
        str, typer.Option(help="simulated, live (Vélib itself), or the path of captured feeds.")
    ] = SIMULATED,
) -> None:
    """Starts the stack, drives the pipeline, shows rows from BigQuery, stops; report in .pmp/demo.json."""
    from pmp_schema.bigquery.queries import query_client  # noqa: PLC0415
    from pmpctl.demo import run as demonstration  # noqa: PLC0415 - only this command needs it
    from pmpctl.demo.landed import Landed  # noqa: PLC0415

    ports = Ports.parse(os.environ.get("PMP_PORT_BASE"))
    folder = project_root(Path.cwd()) / ".pmp"
    state = folder / f"demo-{ports.base}"
    values = variables(ports, state, external_pubsub(os.environ, ports))
    stack = demonstration.Stack(
        variables=values,
        env={**os.environ, "PMP_STATE_DIR": str(state)},
        feeds=lambda: demonstration.feeds_to_collect(None if feed == LIVE else ports.url("feed")),
        landed=lambda: Landed(query_client(values["PROJECT_ID"], values["BIGQUERY_EMULATOR_HOST"])),
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stack is stopped then too
    done = demonstration.run(feed, stack, folder / "demo.json", Console())
    raise typer.Exit(0 if done else 1)
