"""`pmp-collector`: simulate sensors, serve a feed."""

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pmp_collector.config import Config
from pmp_collector.sensors import printed
from pmp_collector.simulation import Simulation, SimulationRequest
from pmp_schema import logs
from pmp_schema.config import ConfigError
from pmp_schema.errors import PublishFailed

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


class Mode(StrEnum):
    sparse = "sparse"
    continuous = "continuous"


@cli.command()
def simulate(
    mode: Annotated[Mode, typer.Option(help="A sensor now and then, or a steady stream.")] = Mode.sparse,
    events: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many events.")] = 5,
    rate: Annotated[float, typer.Option(min=0.01, help="Events a second; continuous mode only.")] = 100.0,
    stations: Annotated[int, typer.Option(min=1, max=10_000)] = 4,
    seed: Annotated[int, typer.Option(help="Same seed, same events but for run id and times.")] = 1,
    city: Annotated[str | None, typer.Option(help="city_id of every event.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no event, only the bar.")] = False,
) -> None:
    """Publish simulated sensor events; sparse mode prints one `Published: {...}` line for each."""
    config = Config.from_env(os.environ)  # before the imports: they take a second
    from google.auth.exceptions import GoogleAuthError  # heavy; `feed-server` does without  # noqa: PLC0415
    from google.pubsub_v1 import PublisherClient  # noqa: PLC0415

    from pmp_collector.announce import SOURCE  # noqa: PLC0415
    from pmp_schema.publisher import PubSubPublisher, announce_counts  # noqa: PLC0415

    try:
        client = PublisherClient()
    except GoogleAuthError as error:
        raise ConfigError(f"no Google credentials: {_first_line(error)}") from error
    publisher = PubSubPublisher(client, config.project, timeout_s=config.publish_timeout_s)
    wanted = SimulationRequest(
        events=events,
        stations=stations,
        rate_per_s=rate if mode is Mode.continuous else None,
        seed=seed,
        city_id=city,
    )
    with _progress() as progress:
        task = progress.add_task("Publishing", total=events)

        def show(batch: Sequence[dict[str, Any]]) -> None:
            if mode is Mode.sparse and not quiet:
                for event in batch:
                    sys.stdout.write(printed(event) + "\n")
                sys.stdout.flush()
            progress.advance(task, len(batch))

        try:
            done = Simulation(publisher, config.sensor_topic).run(wanted, show)
        finally:
            announce_counts(publisher, SOURCE)
    Console(stderr=True).print(f"{done['published']} events of run {done['run']} in {done['seconds']} s")


@cli.command("feed-server")
def feed_server(
    feed: Annotated[
        str,
        typer.Option(help="`simulated`, a folder of captures, or a series of captures (.jsonl, .jsonl.gz)."),
    ] = "simulated",
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8086,
    speed: Annotated[float, typer.Option(min=0.01, help="Simulated seconds per second.")] = 1.0,
    hours_ago: Annotated[
        float,
        typer.Option(min=0, help="When the simulated city begins; with --speed it catches up from there."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the simulated city.")] = 1,
    stations: Annotated[int, typer.Option(min=1, max=20_000, help="Of the simulated city.")] = 1400,
    anomalies_per_hour: Annotated[
        float, typer.Option(min=0, help="Empty, truncated, frozen, repeated and refused answers.")
    ] = 0.0,
) -> None:
    """Serve a simulated city, or a recording, as GBFS over HTTP."""
    from pmp_collector.feed.anomalies import Anomalies  # noqa: PLC0415 - `simulate` does without
    from pmp_collector.feed.opening import open_source  # noqa: PLC0415
    from pmp_collector.feed.recording import RecordingError  # noqa: PLC0415
    from pmp_collector.feed.server import serve  # noqa: PLC0415

    logs.configure()
    try:
        start_at = datetime.now(UTC) - timedelta(hours=hours_ago)
        source = open_source(feed, seed=seed, start_at=start_at, speed=speed, stations=stations)
    except RecordingError as error:
        raise SystemExit(f"pmp-collector: {error}") from error
    serve(source, host=host, port=port, anomalies=Anomalies(rate_per_hour=anomalies_per_hour, seed=seed))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _progress() -> Progress:
    """A bar on a terminal's standard error; printed events stay on standard output, also where that is a pipe."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        disable=not console.is_terminal,
    )


def main() -> None:
    """The console script; what a user can mend is one line."""
    started = time.monotonic()
    try:
        cli()
    except ConfigError as error:
        raise SystemExit(f"pmp-collector: {error}") from error
    except PublishFailed as error:
        seconds = time.monotonic() - started
        raise SystemExit(f"pmp-collector: Pub/Sub did not confirm after {seconds:.0f} s: {error}") from error


if __name__ == "__main__":
    main()
