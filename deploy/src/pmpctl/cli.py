"""The command `pmpctl`: groups are added here, each with its own module."""

import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pmp_schema import logs
from pmp_schema.config import ConfigError, require
from pmp_schema.errors import RetryableError
from pmp_schema.topology import TOPOLOGY
from pmpctl import driving, jobs, operations, reliability
from pmpctl.errors import CommandError
from pmpctl.local import cli as local
from pmpctl.local.environment import LIVE, SIMULATED, external_pubsub, project_root, variables
from pmpctl.local.ports import Ports
from pmpctl.session import Connections
from pmpctl.target import Ingestion, LocationOption, Target, TargetOption, settings

if TYPE_CHECKING:  # Google's clients take a second to import
    from pmpctl.messaging import PushTarget
    from pmpctl.resources import Clients

app = typer.Typer(
    help="Runs and operates Mobility Pulse.", no_args_is_help=True, pretty_exceptions_enable=False
)
tables = typer.Typer(help="BigQuery datasets, tables and views.", no_args_is_help=True)
app.add_typer(local.app, name="local")
app.add_typer(tables, name="tables")
for group in (operations, driving, jobs, reliability):
    group.register(app)


@tables.command("apply")
def tables_apply(target: TargetOption = Target.LOCAL, location: LocationOption = None) -> None:
    """Creates missing datasets, tables and views; adds missing columns. Drops nothing."""
    from pmpctl import resources  # noqa: PLC0415 - Google's clients take a second to import

    env = settings(target)
    (project,) = require(env, "PROJECT_ID")
    clients = resources.connect(
        project,
        pubsub_emulator=env.get("PUBSUB_EMULATOR_HOST"),
        bigquery_emulator=env.get("BIGQUERY_EMULATOR_HOST"),
    )
    _show(resources.prepare_tables(clients, TOPOLOGY, location=location or require(env, "REGION")[0]))


WriterUrlOption = Annotated[str, typer.Option(envvar="WRITER_URL", help="Where push subscriptions deliver.")]
PushAccountOption = Annotated[
    str | None,
    typer.Option(envvar="PUSH_SERVICE_ACCOUNT", help="Signs the pushes; needed with --target cloud."),
]


@app.command()
def setup(
    target: TargetOption = Target.LOCAL,
    location: LocationOption = None,
    writer_url: WriterUrlOption = "",
    push_service_account: PushAccountOption = None,
) -> None:
    """Creates topics, subscriptions, datasets, tables and views; corrects what differs."""
    from pmpctl import resources  # noqa: PLC0415 - Google's clients take a second to import

    env = settings(target)
    clients, push = _clients_and_push(target, env, writer_url, push_service_account)
    _show(
        resources.prepare_project(
            clients, TOPOLOGY, location=location or require(env, "REGION")[0], push=push
        )
    )


@app.command()
def ingestion(
    wanted: Annotated[
        Ingestion,
        typer.Argument(help="push: the writer (default); high-volume: Beam's ingest_events."),
    ],
    target: TargetOption = Target.LOCAL,
    writer_url: WriterUrlOption = "",
    push_service_account: PushAccountOption = None,
) -> None:
    """Switches who writes the sensor events, without losing one; a minute, in the cloud a quarter of an hour."""
    from pmpctl.ingestion import Pace, Switch  # noqa: PLC0415 - Google's clients take a second to import

    clients, push = _clients_and_push(target, settings(target), writer_url, push_service_account)
    console = Console(stderr=True)
    switch = Switch(
        clients.subscriber,
        TOPOLOGY,
        clients.bigquery.project,
        push,
        emulated=clients.pubsub_emulated,
        # A message that was refused is in no pull until its backoff is over; the emulator has none.
        pace=Pace(
            handler_s=TOPOLOGY.push_policy.handler_budget_s
            + (0 if clients.pubsub_emulated else TOPOLOGY.push_policy.max_backoff_s)
        ),
        tell=console.print,
    )
    with console.status(f"switching to {wanted}"):
        switch.to(wanted)
    run = {Ingestion.HIGH_VOLUME: "start", Ingestion.PUSH: "drain"}[wanted]
    typer.echo(f"{wanted}; now {run} the pipeline ingest_events")


def _clients_and_push(
    target: Target, env: Mapping[str, str], writer_url: str, push_service_account: str | None
) -> "tuple[Clients, PushTarget]":
    from pmpctl import resources  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.messaging import PushTarget  # noqa: PLC0415

    project, base_url = require(
        {**env, "WRITER_URL": writer_url or env.get("WRITER_URL", "")}, "PROJECT_ID", "WRITER_URL"
    )
    if target is Target.CLOUD and push_service_account is None:
        raise CommandError("unset: PUSH_SERVICE_ACCOUNT; without it the pushes would carry no token")
    clients = resources.connect(
        project,
        pubsub_emulator=env.get("PUBSUB_EMULATOR_HOST"),
        bigquery_emulator=env.get("BIGQUERY_EMULATOR_HOST"),
    )
    return clients, PushTarget(
        base_url=base_url, service_account=push_service_account, audience=TOPOLOGY.push_audience
    )


@app.command()
def scheduler(
    service: Annotated[
        list[str] | None,
        typer.Option(help="KEY=URL of a service; repeatable. COLLECTOR_URL and so on where it is not given."),
    ] = None,
    feature_engine: Annotated[str, typer.Option(help="Whose schedule of the features: sql or beam.")] = "sql",
) -> None:
    """Calls the services when the topology's schedules are due; each once at the start."""
    logs.configure()
    # Both tell every call in a sentence of their own; the scheduler's own line says it once.
    for library in ("apscheduler", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)
    urls = _service_urls(service)
    from pmpctl import scheduler as schedule  # noqa: PLC0415 - only this command needs it

    schedule.serve(TOPOLOGY.schedules_of(feature_engine), urls)


@app.command()
def demo(
    feed: Annotated[
        str, typer.Option(help="simulated, live (Vélib itself), or the path of captured feeds.")
    ] = SIMULATED,
) -> None:
    """Starts the stack, drives the pipeline, shows rows from BigQuery, stops; report in .pmp/demo.json."""
    from pmp_schema.bigquery.queries import query_client  # noqa: PLC0415
    from pmpctl import demo as demonstration  # noqa: PLC0415 - only this command needs it
    from pmpctl.landed import Landed  # noqa: PLC0415

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


def _show(changes: tuple[object, ...]) -> None:
    for change in changes:
        typer.echo(str(change))
    typer.echo(f"{len(changes)} changes" if changes else "nothing to change")


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
