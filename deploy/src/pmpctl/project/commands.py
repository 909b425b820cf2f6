"""Commands that prepare a project: `tables apply`, and `setup` for emulators."""

from typing import TYPE_CHECKING, Annotated

import typer

from pmp_schema.topology import TOPOLOGY
from pmpctl.session import open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import JsonOption, dump, plural

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
    """Creates missing datasets, tables and views and adds missing columns; drops nothing."""
    session = open_session(context, target)
    from pmpctl.project.tables import prepare_tables  # noqa: PLC0415 - Google's clients take a second to import

    location = location or session.require("PROJECT_ID", "REGION")[1]
    emulated = bool(session.env.get("BIGQUERY_EMULATOR_HOST"))
    changes = prepare_tables(
        session.bigquery, TOPOLOGY, location=location, emulated=emulated, dry_run=dry_run
    )
    _show(changes, dry_run=dry_run, as_json=as_json)


def setup(context: typer.Context) -> None:
    """Creates what the services need on emulators: topics, subscriptions, datasets, tables and views.

    In the cloud, Terraform does this. Push subscriptions deliver to WRITER_URL.
    """
    session = open_session(context, Target.LOCAL)
    region, writer_url = session.require("REGION", "WRITER_URL")
    from pmpctl.project.resources import prepare_project  # noqa: PLC0415 - Google's clients take a second to import

    changes = prepare_project(session.emulators, TOPOLOGY, location=region, push_url=writer_url)
    _show(changes, dry_run=False, as_json=False)


def _show(changes: "Sequence[Change]", *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        listed = [{"kind": change.kind, "what": change.what} for change in changes]
        typer.echo(dump({"dry_run": dry_run, "changes": listed}))
        return
    for change in changes:
        typer.echo(str(change))
    would = " (none was made)" if dry_run else ""
    typer.echo(plural(len(changes), "change") + would if changes else "nothing to change")
