"""Commands that have the collector do something now: collect, simulate."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from pmpctl.collector import requests
from pmpctl.http import answer
from pmpctl.session import open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import DryRunOption, JsonOption, dry_calls, dump, fields, output, spinner


class Feed(StrEnum):
    STATION_STATUS = "station_status"
    STATION_INFORMATION = "station_information"


def register(app: typer.Typer) -> None:
    """Adds the commands to `pmpctl`."""
    app.command()(collect)
    app.command()(simulate)


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
    feeds = [feed.value] if feed else requests.FEEDS
    polls = requests.collect_requests(session.url("collector"), feeds, system)
    if dry_run:
        typer.echo(dry_calls(polls, as_json=as_json))
        return
    found: list[dict[str, Any]] = []
    with spinner(quiet=as_json).status("collecting") as progress:
        for request in polls:
            progress.update(str(request))
            found += requests.results(session.send(request))
    if as_json:
        typer.echo(dump({"results": found}))
    else:
        output().print(requests.results_table(found))
    raise typer.Exit(1 if any(result["outcome"] == "failed" for result in found) else 0)


def simulate(
    context: typer.Context,
    events: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    stations: Annotated[int | None, typer.Option(min=1, help="Spread over so many.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, max=1e6, help="Events a second.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same events.")] = None,
    city: Annotated[str | None, typer.Option(help="Their city_id.")] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Publishes simulated sensor events."""
    session = open_session(context, target)
    wanted = {"events": events, "stations": stations, "rate_per_s": rate, "seed": seed, "city_id": city}
    request = requests.simulate_request(session.url("collector"), wanted)
    if dry_run:
        typer.echo(dry_calls((request,), as_json=as_json))
        return
    with spinner(quiet=as_json).status(f"publishing {events} events"):
        told = answer(session.send(request), "collector")
    typer.echo(dump(told) if as_json else fields(told))
