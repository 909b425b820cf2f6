"""`pmpctl collect` and `pmpctl simulate`: what the collector does now."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import httpx
import typer
from rich.console import Console

from pmpctl.calls import Request
from pmpctl.errors import CommandError
from pmpctl.http import answer
from pmpctl.session import open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import (
    DryRunOption,
    JsonOption,
    dry_calls,
    dump,
    fields,
    output,
    show_rows,
    spinner,
)

# All systems are polled in one request; Cloud Run ends it after 300 s.
COLLECT_TIMEOUT_S: Final = 300.0


class Feed(StrEnum):
    STATION_STATUS = "station_status"
    STATION_INFORMATION = "station_information"


def register(app: typer.Typer) -> None:
    """Adds the commands to `pmpctl`."""
    app.command()(collect)
    app.command()(simulate)


def collect(
    context: typer.Context,
    feed: Annotated[Feed | None, typer.Option(help="Poll only this feed.")] = None,
    system: Annotated[str | None, typer.Option(help="Poll only this one of the configured systems.")] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Polls the feeds once; exits 1 if a poll failed."""
    session = open_session(context, target)
    feeds = [feed] if feed else list(Feed)
    query = {} if system is None else {"system": system}
    url = session.url("collector")
    polls = [
        Request("collector", url, "POST", f"/collect/{one}", query, timeout_s=COLLECT_TIMEOUT_S)
        for one in feeds
    ]
    if dry_run:
        typer.echo(dry_calls(polls, as_json=as_json))
        return
    found: list[dict[str, Any]] = []
    with spinner(quiet=as_json).status("collecting") as progress:
        for request in polls:
            progress.update(str(request))
            found += results(session.send(request))
    if as_json:
        typer.echo(dump({"results": found}))
    else:
        show_results(found, output())
    raise typer.Exit(1 if any(result["outcome"] == "failed" for result in found) else 0)


def simulate(
    context: typer.Context,
    events: Annotated[int, typer.Option(min=1, help="Number of events.")] = 100,
    stations: Annotated[int | None, typer.Option(min=1, help="Number of stations.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, max=1e6, help="Events a second.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same events.")] = None,
    city: Annotated[str | None, typer.Option(help="The city_id of the events.")] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Publishes simulated sensor events."""
    session = open_session(context, target)
    wanted = {"events": events, "stations": stations, "rate_per_s": rate, "seed": seed, "city_id": city}
    body = {name: value for name, value in wanted.items() if value is not None}
    # The collector answers after the last event.
    timeout_s = 60.0 + (events / rate if rate else 0.0)
    request = Request(
        "collector", session.url("collector"), "POST", "/simulate", body=body, timeout_s=timeout_s
    )
    if dry_run:
        typer.echo(dry_calls((request,), as_json=as_json))
        return
    with spinner(quiet=as_json).status(f"publishing {events} events"):
        simulated = answer(session.send(request), "collector")
    typer.echo(dump(simulated) if as_json else fields(simulated))


def results(response: httpx.Response) -> list[dict[str, Any]]:
    """The outcome for each system; the collector answers 502 with the outcomes if every poll failed.

    Raises:
        CommandError: the collector answered something else.
    """
    if response.status_code == httpx.codes.BAD_GATEWAY:
        try:
            found: list[dict[str, Any]] = response.json()["results"]
        except (ValueError, KeyError, TypeError):
            raise CommandError(f"collector answered {response.status_code}") from None
        return found
    outcomes: list[dict[str, Any]] = answer(response, "collector")["results"]
    return outcomes


def show_results(found: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Shows all but message ids, which only programs use."""
    columns = ("system", "feed", "outcome", "stations", "bytes", "feed_ts", "detail")
    show_rows("", [{name: result.get(name) for name in columns} for result in found], console)
