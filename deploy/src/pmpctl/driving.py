"""Commands that have services do something now: collect, simulate, features."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from pmpctl import collection, feature_history
from pmpctl import features as runs
from pmpctl.errors import CommandError
from pmpctl.operations import DryRunOption, Engine, JsonOption, YesOption
from pmpctl.session import Session, answer, confirm, dump, open_session, spinner
from pmpctl.target import Target, TargetOption

features = typer.Typer(help="Feature runs.", no_args_is_help=True)


class Feed(StrEnum):
    STATION_STATUS = "station_status"
    STATION_INFORMATION = "station_information"


def register(app: typer.Typer) -> None:
    """Adds the commands to `pmpctl`."""
    app.command()(collect)
    app.command()(simulate)
    feature_history.register(features)
    app.add_typer(features, name="features")


def collect(
    context: typer.Context,
    feed: Annotated[Feed | None, typer.Option(help="Only this one.")] = None,
    system: Annotated[str | None, typer.Option(help="Only this one of the configured systems.")] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Polls the feeds once; exits 1 where a poll failed."""
    session = open_session(context, target)
    feeds = [feed.value] if feed else collection.FEEDS
    requests = collection.collect_requests(session.url("collector"), feeds, system)
    if dry_run:
        _dry(session, requests, as_json=as_json)
    found: list[dict[str, Any]] = []
    with spinner(quiet=as_json).status("collecting") as progress:
        for request in requests:
            progress.update(str(request))
            found += collection.results(session.send(request))
    if as_json:
        typer.echo(dump({"results": found}))
    else:
        Console().print(collection.results_table(found))
    raise typer.Exit(1 if any(result["outcome"] == "failed" for result in found) else 0)


def simulate(
    context: typer.Context,
    events: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    stations: Annotated[int | None, typer.Option(min=1, help="Spread over so many.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events a second.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same events.")] = None,
    city: Annotated[str | None, typer.Option(help="Their city_id.")] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Publishes simulated sensor events."""
    session = open_session(context, target)
    wanted = {"events": events, "stations": stations, "rate_per_s": rate, "seed": seed, "city_id": city}
    request = collection.simulate_request(session.url("collector"), wanted)
    if dry_run:
        _dry(session, (request,), as_json=as_json)
    with spinner(quiet=as_json).status(f"publishing {events} events"):
        told = answer(session.send(request), "collector")
    typer.echo(dump(told) if as_json else _fields(told))


@features.command("run")
def run_features(
    context: typer.Context,
    as_of: Annotated[
        str | None, typer.Option(help="RFC 3339; what windows end at. The launcher's now by default.")
    ] = None,
    known_at: Annotated[
        str | None, typer.Option(help="RFC 3339; only what had been ingested by then.")
    ] = None,
    engine: Annotated[Engine | None, typer.Option(help="The launcher's own by default.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until it has ended; exits 1 where it failed.")
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Starts a feature run, or shows the one that has the same time and engine."""
    session = open_session(context, target)
    wanted = engine.value if engine else None
    request = runs.run_request(session.url("launcher"), as_of=as_of, known_at=known_at, engine=wanted)
    if dry_run:
        _dry(session, (request,), as_json=as_json)
    if engine is Engine.BEAM and not session.local:
        confirm("This starts a Dataflow batch job, which costs some cents.", yes=yes)
    told: Any = answer(session.send(request), "launcher")
    if wait:
        with spinner(quiet=as_json).status("running") as progress:
            told = runs.wait(told, lambda run_id: _look(session, run_id), progress.update, session.pause)
    typer.echo(dump(told) if as_json else _fields(told))
    raise typer.Exit(1 if told["status"] == "failed" else 0)


@features.command("status")
def features_status(
    context: typer.Context,
    run_id: Annotated[
        str | None, typer.Argument(help="A run; the newest ones where it is not given.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Shows one run as the launcher tells it, or lists runs."""
    session = open_session(context, target)
    if run_id is not None:
        told = _look(session, run_id)
        typer.echo(dump(told) if as_json else _fields(told))
        return
    rows = _listed(session, limit)
    if as_json:
        typer.echo(dump({"runs": rows}))
    elif rows:
        from pmpctl.status import rows_table  # noqa: PLC0415

        Console().print(rows_table("feature runs", rows))
    else:
        typer.echo("no runs yet")


def _listed(session: Session, limit: int) -> list[dict[str, Any]]:
    from pmp_schema.bigquery.queries import BigQueryUnavailable, Queries  # noqa: PLC0415

    queries = Queries(session.bigquery, "pmpctl", timeout_s=30.0)
    try:
        return [dict(row) for row in queries.rows("feature_runs", limit=("INT64", limit))]
    except BigQueryUnavailable as error:
        raise CommandError(str(error)) from error


def _look(session: Session, run_id: str) -> dict[str, Any]:
    return answer(session.send(runs.status_request(session.url("launcher"), run_id)), "launcher")


def _dry(session: Session, requests: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(dump({"dry_run": True, "calls": [str(request) for request in requests]}))
    else:
        session.carry_out(requests, dry_run=True)
    raise typer.Exit


def _fields(told: Any) -> str:
    return "\n".join(f"{name}: {value}" for name, value in told.items() if value is not None)
