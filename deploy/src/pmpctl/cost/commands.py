"""`pmpctl cost`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from pmpctl.session import open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import JsonOption, dump, output


def register(app: typer.Typer) -> None:
    """Adds the command to `pmpctl`."""
    app.command()(cost)


def cost(
    context: typer.Context,
    days: Annotated[float, typer.Option(min=0.01, max=3650, help="Days of usage to extrapolate from.")] = 7.0,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Estimates what a month costs, by component.

    Locally: what the same traffic would cost in the cloud, without Dataflow.
    """
    from pmpctl.cost import report, usage  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.cost.estimate import Estimate  # noqa: PLC0415
    from pmpctl.cost.prices import load_prices  # noqa: PLC0415

    session = open_session(context, target)
    queries = session.queries("pmpctl.cost", usage.QUERY_TIMEOUT_S)
    now = datetime.now(UTC)
    since = now - timedelta(days=days)
    used = (
        usage.local_usage(queries, since, now)
        if session.local
        else usage.cloud_usage(session.google, session.bigquery, queries, since, now)
    )
    estimate = Estimate(used, load_prices())
    if as_json:
        typer.echo(dump(report.as_json(estimate)))
    else:
        report.show(estimate, output())
