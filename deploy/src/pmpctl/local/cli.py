"""`pmpctl local`: the stack on this machine."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.table import Table

from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from pmpctl.local import control
from pmpctl.local.emulators import docker_answers, pubsub_command
from pmpctl.local.environment import (
    LIVE,
    SIMULATED,
    LocalStack,
    child_environment,
    export_lines,
    feeds_file,
    feeds_toml,
    project_root,
)
from pmpctl.local.ports import require_answer
from pmpctl.local.processes import StackOptions, process_table
from pmpctl.local.record import Record
from pmpctl.local.stack import StackPlan, run
from pmpctl.target import local_stack

app = typer.Typer(help="The whole pipeline on this machine, on emulators.", no_args_is_help=True)


@app.command()
def up(
    feed: Annotated[
        str, typer.Option(help="simulated, live (Vélib itself), or the path of captured feeds.")
    ] = SIMULATED,
    speed: Annotated[float, typer.Option(min=0.01, help="Feed seconds per real second.")] = 1.0,
    hours_ago: Annotated[float, typer.Option(min=0, help="When the simulated city begins.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the simulated city.")] = 1,
    without: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A process to leave out; repeatable.")
    ] = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep no tables on disk.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run in the background; return once ready.")
    ] = False,
    background: Annotated[bool, typer.Option("--background", hidden=True)] = False,
) -> None:
    """Starts everything, sets it up, and runs until Ctrl-C."""
    options = StackOptions(
        feed=_feed(feed),
        speed=speed,
        hours_ago=hours_ago,
        seed=seed,
        ephemeral=ephemeral,
        without=frozenset(without or ()),
    )
    if detach:
        _detach(options)
        return
    stack = local_stack()
    plan = _plan(options, stack)
    console: BinaryIO | None = None
    if not background:
        # Unbuffered, as the stack's printer needs it; it stays open until the process ends.
        console = open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)  # noqa: SIM115
    colour = console is not None and console.isatty()
    raise typer.Exit(run(plan, stack.state, console, colour=colour))


@app.command()
def down() -> None:
    """Stops the stack and waits until nothing of it runs."""
    typer.echo("stopped" if control.stop(local_stack().state) else "not running")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Shows every process; exits 0 where the stack is ready and everything answers."""
    record = control.present(local_stack().state)
    processes = control.inspect(record) if record is not None else ()
    state = record.status if record is not None else "down"
    if as_json:
        urls = record.urls if record is not None else {}
        typer.echo(json.dumps({"status": state, "processes": [asdict(p) for p in processes], "urls": urls}))
    elif record is None:
        typer.echo("not running")
    else:
        Console().print(_status_table(state, processes))
        if state != "ready" and record.detail:
            typer.echo(record.detail)
    well = all(p.running and p.healthy is not False for p in processes)
    raise typer.Exit(0 if state == "ready" and well else 1)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A process, setup, or stack for all of them.")] = "stack",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Prints a log."""
    state = local_stack().state
    log = state.log(name)
    if not log.is_file():
        known = ", ".join(sorted(p.stem for p in state.logs.glob("*.log"))) or "none yet"
        raise CommandError(f"no log of {name}; there are: {known}")
    with log.open("rb") as file:
        try:
            while chunk := file.read(65536) or follow:
                if chunk is True:
                    time.sleep(0.2)
                else:
                    sys.stdout.buffer.write(chunk)
                    sys.stdout.flush()
        except KeyboardInterrupt:
            return


@app.command()
def env() -> None:
    """Prints export lines, for `eval "$(pmpctl local env)"`."""
    typer.echo("\n".join(export_lines(local_stack().variables)))


def _feed(feed: str) -> str:
    if feed in {SIMULATED, LIVE}:
        return feed
    path = Path(feed).absolute()
    if not path.exists():
        raise CommandError(f"--feed {feed}: neither simulated nor live nor an existing path")
    return str(path)


def _plan(options: StackOptions, stack: LocalStack) -> StackPlan:
    if stack.pubsub is not None:
        require_answer(stack.pubsub)
        typer.echo(f"using the Pub/Sub emulator at {stack.pubsub} (PUBSUB_EMULATOR_HOST)", err=True)
    state = stack.state
    specs = process_table(
        options,
        stack.ports,
        state=state.path,
        python=Path(sys.executable),
        pubsub=_own_pubsub(options, stack),
        ready_file=state.ready,
    )
    return StackPlan(
        specs=specs,
        env=child_environment(os.environ, stack.variables),
        cwd=project_root(Path.cwd()),
        files={feeds_file(state.path): feeds_toml(options.feed, stack.ports)},
        set_up=partial(_set_up, stack.variables),
        urls={spec.name: stack.ports.url(spec.name) for spec in specs if spec.ports},
    )


def _own_pubsub(options: StackOptions, stack: LocalStack) -> tuple[str, ...] | None:
    if stack.pubsub is not None or "pubsub" in options.without:
        return None
    return pubsub_command(
        os.environ,
        stack.ports.of("pubsub"),
        which=shutil.which,
        home=Path.home(),
        docker_answers=docker_answers,
    )


def _set_up(shared: Mapping[str, str], wait: Callable[[], None]) -> list[str]:
    # Imported while the emulators start: Google's clients take a second.
    from pmpctl.project import resources  # noqa: PLC0415
    from pmpctl.project.messaging import PushTarget  # noqa: PLC0415

    wait()
    clients = resources.connect(
        shared["PROJECT_ID"],
        pubsub_emulator=shared["PUBSUB_EMULATOR_HOST"],
        bigquery_emulator=shared["BIGQUERY_EMULATOR_HOST"],
    )
    push = PushTarget(base_url=shared["WRITER_URL"])
    changes = resources.prepare_project(clients, TOPOLOGY, location=shared["REGION"], push=push)
    return [str(change) for change in changes]


def _detach(options: StackOptions) -> None:
    command = [sys.executable, "-m", "pmpctl", "local", "up", "--background", "--feed", options.feed]
    command += ["--speed", str(options.speed), "--seed", str(options.seed)]
    command += ["--hours-ago", str(options.hours_ago)]
    command += ["--ephemeral"] if options.ephemeral else []
    for name in sorted(options.without):
        command += ["--without", name]
    console = Console(stderr=True)
    began = time.monotonic()
    with console.status("starting") as spinner:
        record = control.start(
            command, os.environ, local_stack().state, tell=lambda what: spinner.update(f"starting: {what}")
        )
    _show_ready(record, time.monotonic() - began)


def _show_ready(record: Record, seconds: float) -> None:
    typer.echo(f"ready after {seconds:.1f} s")
    for name, url in record.urls.items():
        typer.echo(f"{name:10} {url}")


def _status_table(state: str, processes: tuple[control.ProcessStatus, ...]) -> Table:
    table = Table("process", "pid", "port", "health", title=f"local stack: {state}")
    health = {None: "-", True: "[green]ok[/]", False: "[red]no answer[/]"}
    for process in processes:
        table.add_row(
            process.name,
            str(process.pid or "-"),
            ", ".join(map(str, process.ports)) or "-",
            health[process.healthy] if process.running else "[red]ended[/]",
        )
    return table
