"""`pmpctl query`: one statement, its rows as a table."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from pmpctl.session import open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import JsonOption, cell, dump, output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        output().print(as_table(found))
    else:
        typer.echo("0 rows")


def as_table(found: "Sequence[Mapping[str, Any]]") -> Table:
    table = Table()
    for name in found[0]:
        table.add_column(cell(name))
    for row in found:
        table.add_row(*(cell(value) for value in row.values()))
    return table
