"""`pmpctl query`: one statement and its rows."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pmpctl.session import open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import JsonOption, cell, dump, output, show_rows

if TYPE_CHECKING:
    from google.cloud import bigquery

TIMEOUT_S: Final = 120.0  # for one call, retries included; a query is at least two calls


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
    found = run(session.bigquery, sql)
    if as_json:
        typer.echo(dump(found))
    elif found:
        show_rows("", [{name: cell(value) for name, value in row.items()} for row in found], output())
    else:
        typer.echo("0 rows")


def run(client: "bigquery.Client", sql: str) -> list[dict[str, Any]]:
    """Runs a statement.

    Raises:
        CommandError: it is wrong, or BigQuery does not answer.
    """
    # Google's client takes a second to import.
    from google.cloud import bigquery  # noqa: PLC0415

    from pmp_runtime.bigquery.queries import transient  # noqa: PLC0415
    from pmpctl.google_errors import readable_failures  # noqa: PLC0415

    config = bigquery.QueryJobConfig(use_query_cache=False)
    again = transient(TIMEOUT_S)
    with readable_failures():
        job = client.query(sql, job_config=config, timeout=TIMEOUT_S, retry=again, job_retry=None)
        return [dict(row) for row in job.result(timeout=TIMEOUT_S, retry=again, job_retry=None)]
