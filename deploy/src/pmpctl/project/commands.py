"""Commands that make a project ready: tables apply, setup, ingestion."""

from typing import TYPE_CHECKING, Annotated

import typer

from pmp_runtime.config import require
from pmp_schema.topology import TOPOLOGY
from pmpctl.session import Session, open_session
from pmpctl.target import Ingestion, Target, TargetOption
from pmpctl.terminal import JsonOption, YesOption, confirm, dump, spinner

if TYPE_CHECKING:  # Google's clients take a second to import
    from collections.abc import Sequence

    from pmpctl.project.changes import Change
    from pmpctl.project.messaging import PushTarget

DryChangesOption = Annotated[
    bool, typer.Option("--dry-run", help="Print every change that would be made, and make none.")
]
LocationOption = Annotated[
    str | None, typer.Option(help="Location of new datasets; REGION where it is not given.")
]
WriterUrlOption = Annotated[
    str | None, typer.Option(help="Where push subscriptions deliver; WRITER_URL where it is not given.")
]
PushAccountOption = Annotated[
    str | None,
    typer.Option(help="Signs the pushes, needed in the cloud; PUSH_SERVICE_ACCOUNT where it is not given."),
]

# What to do next, in the cloud and on this machine.
_THEN = {
    Ingestion.HIGH_VOLUME: ("`pmpctl up --target cloud`", "`python -m pmp_beam ingest_events`"),
    Ingestion.PUSH: (
        "`pmpctl jobs drain ingest_events --target cloud`",
        "end `python -m pmp_beam ingest_events`",
    ),
}

tables = typer.Typer(help="BigQuery datasets, tables and views.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands to `pmpctl`."""
    app.add_typer(tables, name="tables")
    app.command()(setup)
    app.command()(ingestion)


@tables.command("apply")
def tables_apply(
    context: typer.Context,
    location: LocationOption = None,
    dry_run: DryChangesOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Creates missing datasets, tables and views; adds missing columns. Drops nothing."""
    session = open_session(context, target)
    from pmpctl.project import resources  # noqa: PLC0415 - Google's clients take a second to import

    changes = resources.prepare_tables(
        session.project, TOPOLOGY, location=_location(session, location), dry_run=dry_run
    )
    _show(changes, dry_run=dry_run, as_json=as_json)


def setup(
    context: typer.Context,
    location: LocationOption = None,
    writer_url: WriterUrlOption = None,
    push_service_account: PushAccountOption = None,
    dry_run: DryChangesOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Creates topics, subscriptions, datasets, tables and views; corrects what differs."""
    session = open_session(context, target)
    push = _push_target(session, writer_url, push_service_account)
    from pmpctl.project import resources  # noqa: PLC0415 - Google's clients take a second to import

    changes = resources.prepare_project(
        session.project, TOPOLOGY, location=_location(session, location), push=push, dry_run=dry_run
    )
    _show(changes, dry_run=dry_run, as_json=as_json)


def ingestion(
    context: typer.Context,
    wanted: Annotated[
        Ingestion,
        typer.Argument(help="push: the writer (default); high-volume: Beam's ingest_events."),
    ],
    writer_url: WriterUrlOption = None,
    push_service_account: PushAccountOption = None,
    yes: YesOption = False,
    dry_run: DryChangesOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Switches who writes the sensor events, without losing one; a minute, in the cloud a quarter of an hour.

    Where Terraform made the subscriptions, set its variable sensor_ingestion instead: the next apply would undo this.
    """
    session = open_session(context, target)
    push = _push_target(session, writer_url, push_service_account)
    from pmpctl.google_errors import readable_failures  # noqa: PLC0415
    from pmpctl.project.ingestion import Pace, Switch  # noqa: PLC0415 - Google's clients take a second to import

    clients = session.project
    console = spinner(quiet=False)
    policy = TOPOLOGY.push_policy
    # A message that was refused is in no pull until its backoff is over; the emulator has none.
    backoff_s = 0 if clients.pubsub_emulated else policy.max_backoff_s
    switch = Switch(
        clients.subscriber,
        TOPOLOGY,
        clients.bigquery.project,
        push,
        emulated=clients.pubsub_emulated,
        pace=Pace(handler_s=policy.handler_budget_s + backoff_s),
        tell=console.print,
        sleep=session.pause,
    )
    with readable_failures("Pub/Sub"):
        planned = switch.plan(wanted)
    if dry_run or not planned:
        typer.echo("\n".join(planned) or f"nothing to do: {wanted} it is")
        return
    if not session.local:
        confirm(f"This will {'; '.join(planned)}.", yes=yes)
    with console.status(f"switching to {wanted}"), readable_failures("Pub/Sub"):
        switch.to(wanted)
    typer.echo(f"{wanted}; now {_THEN[wanted][session.local]}")


def _location(session: Session, given: str | None) -> str:
    return given or require(session.env, "REGION")[0]


def _push_target(session: Session, writer_url: str | None, account: str | None) -> "PushTarget":
    from pmpctl.project.messaging import PushTarget  # noqa: PLC0415 - Google's clients take a second to import

    options = {"WRITER_URL": writer_url, "PUSH_SERVICE_ACCOUNT": account}
    env = {**session.env, **{name: value for name, value in options.items() if value}}
    if session.local:
        _, url = require(env, "PROJECT_ID", "WRITER_URL")
        return PushTarget(base_url=url)
    # Without an account the pushes would carry no token.
    _, url, account = require(env, "PROJECT_ID", "WRITER_URL", "PUSH_SERVICE_ACCOUNT")
    return PushTarget(base_url=url, service_account=account, audience=TOPOLOGY.push_audience)


def _show(changes: "Sequence[Change]", *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        told = [{"kind": change.kind, "what": change.what} for change in changes]
        typer.echo(dump({"dry_run": dry_run, "changes": told}))
        return
    for change in changes:
        typer.echo(str(change))
    would = " would be made" if dry_run else ""
    typer.echo(f"{len(changes)} changes{would}" if changes else "nothing to change")
