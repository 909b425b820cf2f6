"""The stack on this machine: what `pmpctl up`, `down`, `logs` and `local env` do."""

import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from pmpctl.errors import CommandError
from pmpctl.local import background
from pmpctl.local.local_stack import LocalStack
from pmpctl.local.plan import make_plan
from pmpctl.local.processes import StackOptions
from pmpctl.local.stack import run
from pmpctl.local.state_folder import Record, already_running
from pmpctl.local.variables import LIVE, SIMULATED, export_lines
from pmpctl.target import local_stack
from pmpctl.terminal import dry_calls, dump, spinner

_FOLLOW_S = 0.2


def up(options: StackOptions, *, detach: bool, dry_run: bool, as_json: bool) -> None:
    """Runs the stack in the foreground; with `detach` or `as_json` in the background."""
    stack = local_stack()
    options = replace(options, feed=feed_source(options.feed))
    if dry_run:
        typer.echo(dry_calls(_commands(options, stack), as_json=as_json))
        return
    if not (detach or as_json):
        # Unbuffered, because the log is written line by line; it stays open until the process ends.
        console: BinaryIO = open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)  # noqa: SIM115
        raise typer.Exit(run(make_plan(options, stack), stack.state, console, colour=console.isatty()))
    began = time.monotonic()
    record = stack.state.running()
    if record is not None and record.status == "ready":
        calls, first_line = [], already_running(record)
    else:
        record = start(options, stack, quiet=as_json)
        calls, first_line = _commands(options, stack), f"ready after {time.monotonic() - began:.1f} s"
    if as_json:
        typer.echo(dump({"dry_run": False, "calls": calls, "urls": record.urls}))
    else:
        typer.echo("\n".join([first_line, *(f"{name:10} {url}" for name, url in record.urls.items())]))


def start(options: StackOptions, stack: LocalStack, *, quiet: bool) -> Record:
    """Starts a stack in the background and waits until it is ready.

    Raises:
        CommandError: it runs already, or it ended before it was ready.
    """
    command = [sys.executable, "-m", "pmpctl.local", msgspec.json.encode(options).decode()]
    env = {**stack.env, "PMP_STATE_DIR": str(stack.state.path)}
    with spinner(quiet=quiet).status("starting") as progress:
        return background.start(
            command, env, stack.state, show=lambda what: progress.update(f"starting: {what}")
        )


def feed_source(feed: str) -> str:
    """Checks a `--feed`; a path becomes absolute.

    Raises:
        CommandError: the path does not exist.
    """
    if feed in {SIMULATED, LIVE}:
        return feed
    path = Path(feed).absolute()
    if not path.exists():
        raise CommandError(f"--feed {feed}: neither simulated nor live nor an existing path")
    return str(path)


def down(*, dry_run: bool, as_json: bool) -> None:
    """Stops the stack and waits until none of its processes runs."""
    state = local_stack().state
    record = background.present(state)
    processes = record.processes if record is not None else ()
    calls = [f"stop {p.name} (pid {p.identity.pid})" for p in processes if p.identity and p.identity.alive()]
    if dry_run:
        typer.echo(dry_calls(calls, as_json=as_json))
        return
    stopped = background.stop(state)
    if as_json:
        typer.echo(dump({"dry_run": False, "calls": calls}))
    else:
        typer.echo("stopped" if stopped else "not running")


def logs(
    name: Annotated[str, typer.Argument(help="A process; `setup`; or `stack` for all processes.")] = "stack",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until Ctrl-C.")] = False,
) -> None:
    """Prints a log of the local stack. For the cloud see `gcloud logging read`."""
    state = local_stack().state
    log = state.log(name)
    if not log.is_file():
        known = ", ".join(sorted(p.stem for p in state.logs.glob("*.log"))) or "none yet"
        raise CommandError(f"no log of {name}; there are: {known}")
    with log.open("rb") as file:
        try:
            while (chunk := file.read(65536)) or follow:
                sys.stdout.buffer.write(chunk)
                sys.stdout.flush()
                if not chunk:
                    time.sleep(_FOLLOW_S)
        except KeyboardInterrupt:
            return


def env() -> None:
    """Prints export lines, for `eval "$(pmpctl local env)"`."""
    typer.echo("\n".join(export_lines(local_stack().variables)))


def _commands(options: StackOptions, stack: LocalStack) -> list[str]:
    return [shlex.join(spec.argv) for spec in make_plan(options, stack).specs]
