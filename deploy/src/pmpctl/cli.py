"""The command `pmpctl`: groups of commands are added here, each with its own folder or module."""

import logging
import os
import sys
from typing import Annotated

import typer

from pmp_runtime import logs
from pmp_runtime.config import ConfigError
from pmp_schema.errors import RetryableError
from pmp_schema.topology import TOPOLOGY
from pmpctl import collector, query
from pmpctl.cost import commands as cost
from pmpctl.dead_letters import commands as dead_letters
from pmpctl.demo import command as demo
from pmpctl.errors import CommandError
from pmpctl.features import commands as features
from pmpctl.local import commands as local
from pmpctl.pipeline import commands as pipeline
from pmpctl.pipeline import jobs
from pmpctl.project import commands as project
from pmpctl.session import Connections
from pmpctl.terminal import Engine

app = typer.Typer(
    help="Runs and operates Mobility Pulse.", no_args_is_help=True, pretty_exceptions_enable=False
)
local_app = typer.Typer(
    help="The same commands, and `env`, for the stack on this machine.", no_args_is_help=True
)
app.add_typer(local_app, name="local")
for command in (pipeline.up, pipeline.down, pipeline.status, local.logs):
    app.command()(command)
    local_app.command()(command)
local_app.command()(local.env)
for group in (collector, features, dead_letters, query, jobs, cost, project, demo):
    group.register(app)


@app.command()
def scheduler(
    service: Annotated[
        list[str] | None,
        typer.Option(help="KEY=URL of a service; repeatable. COLLECTOR_URL and so on where it is not given."),
    ] = None,
    feature_engine: Annotated[Engine, typer.Option(help="Whose schedule of the features.")] = Engine.SQL,
) -> None:
    """Calls the services when the topology's schedules are due; each once at the start."""
    logs.configure()
    # Both tell every call in a sentence of their own; the scheduler's own line says it once.
    for library in ("apscheduler", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)
    urls = _service_urls(service)
    from pmpctl.scheduler import serve  # noqa: PLC0415 - only this command needs it

    serve(TOPOLOGY.schedules_of(feature_engine.value), urls)


def _service_urls(given: list[str] | None) -> dict[str, str]:
    if not given:
        named = {key: os.environ.get(f"{key.upper()}_URL", "") for key in TOPOLOGY.services}
        return {key: url for key, url in named.items() if url}
    pairs = [item.partition("=") for item in given]
    unknown = [key for key, _, url in pairs if key not in TOPOLOGY.services or not url]
    if unknown:
        raise CommandError(
            f"--service {', '.join(unknown)}: must be KEY=URL, KEY one of {', '.join(TOPOLOGY.services)}"
        )
    return {key: url for key, _, url in pairs}


def main(connections: Connections | None = None) -> None:
    """Runs the command; what cannot be done is one line on standard error and exit code 1.

    Args:
        connections: how it reaches what is outside of this process.
    """
    try:
        app(obj=connections or Connections())
    except (CommandError, ConfigError, RetryableError) as error:
        sys.stderr.write(f"pmpctl: {error}\n")
        raise SystemExit(1) from None
