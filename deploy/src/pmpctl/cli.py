"""The command `pmpctl`: every command is added here, from its own folder or module."""

import sys

import typer

from pmp_runtime.config import ConfigError
from pmp_schema.errors import RetryableError
from pmpctl import collector, query, scheduler
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
for group in (collector, features, dead_letters, query, jobs, cost, project, demo, scheduler):
    group.register(app)


def main(connections: Connections | None = None) -> None:
    """Runs the command; an expected failure is one line on standard error and exit code 1.

    Args:
        connections: how it reaches what is outside of this process.
    """
    try:
        app(obj=connections or Connections())
    except (CommandError, ConfigError, RetryableError, OSError) as error:
        sys.stderr.write(f"pmpctl: {error}\n")
        raise SystemExit(1) from None
