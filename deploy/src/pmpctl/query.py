"""`pmpctl query`: one statement and its rows."""

from typing import Annotated, Final

import typer

from pmpctl.session import open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import JsonOption, cell, dump, output, show_rows

TIMEOUT_S: Final = 120.0


def register(app: typer.Typer) -> None:
    """Adds the command to `pmpctl`."""
    app.command()(query)


def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="One statement of BigQuery SQL.")],
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Runs a statement and shows its rows."""
    session = open_session(context, target)
    from pmpctl.statements import rows  # noqa: PLC0415 - Google's client takes a second to import

    found = rows(session.bigquery, sql, timeout_s=TIMEOUT_S)
    if as_json:
        typer.echo(dump(found))
    elif found:
        show_rows("", [{name: cell(value) for name, value in row.items()} for row in found], output())
    else:
        typer.echo("0 rows")
