"""Commands that make a project ready: `tables apply`, and `setup` for emulators."""

from typing import TYPE_CHECKING, Annotated

import typer

from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from pmpctl.session import open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import JsonOption, dump

if TYPE_CHECKING:  # Google's clients take a second to import
    from collections.abc import Sequence

    from pmpctl.project.changes import Change

tables = typer.Typer(help="BigQuery datasets, tables and views.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands to `pmpctl`."""
    app.add_typer(tables, name="tables")
    app.command()(setup)


@tables.command("apply")
def tables_apply(
    context: typer.Context,
    location: Annotated[
        str | None, typer.Option(help="Location of new datasets; REGION if it is not given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes; make none.")] = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Creates missing datasets, tables and views; adds missing columns. Drops nothing."""
    session = open_session(context, target)
    from pmpctl.project import resources  # noqa: PLC0415 - Google's clients take a second to import

    location = location or session.require("PROJECT_ID", "REGION")[1]
    changes = resources.prepare_tables(session.project, TOPOLOGY, location=location, dry_run=dry_run)
    _show(changes, dry_run=dry_run, as_json=as_json)


def setup(context: typer.Context) -> None:
    """Creates what the services need on emulators: topics, subscriptions, datasets, tables and views.

    In the cloud, Terraform does this. Push subscriptions deliver to WRITER_URL.
    """
    session = open_session(context, Target.LOCAL)
    region, writer_url = session.require("REGION", "WRITER_URL")
    clients = session.project
    if not (clients.pubsub_emulated and clients.bigquery_emulated):
        raise CommandError(
            "PUBSUB_EMULATOR_HOST or BIGQUERY_EMULATOR_HOST is not set: `setup` works on emulators only; "
            "in the cloud run `terraform apply`"
        )
    from pmpctl.project import resources  # noqa: PLC0415 - Google's clients take a second to import

    changes = resources.prepare_project(clients, TOPOLOGY, location=region, push_url=writer_url)
    _show(changes, dry_run=False, as_json=False)


def _show(changes: "Sequence[Change]", *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        listed = [{"kind": change.kind, "what": change.what} for change in changes]
        typer.echo(dump({"dry_run": dry_run, "changes": listed}))
        return
    for change in changes:
        typer.echo(str(change))
    would = " would be made" if dry_run else ""
    typer.echo(f"{len(changes)} changes{would}" if changes else "nothing to change")
