"""`pmp-simulator`: serve a simulated city, or a recording, as GBFS over HTTP."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from pmp_runtime import logs
from pmp_simulator.anomalies import Anomalies
from pmp_simulator.recording import RecordingError, open_recording
from pmp_simulator.server import serve
from pmp_simulator.simulated_feed import simulated
from pmp_simulator.source import FeedSource

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def feed_server(
    feed: Annotated[
        str,
        typer.Option(help="`simulated`, a folder of captures, or a series of captures (.jsonl, .jsonl.gz)."),
    ] = "simulated",
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8086,
    speed: Annotated[float, typer.Option(min=0.01, help="Simulated seconds per real second.")] = 1.0,
    hours_ago: Annotated[
        float,
        typer.Option(min=0, help="Start the simulated city this long ago; with --speed it catches up."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the simulated city and the anomalies.")] = 1,
    stations: Annotated[int, typer.Option(min=1, max=20_000, help="Stations of the simulated city.")] = 1400,
    anomalies_per_hour: Annotated[
        float,
        typer.Option(
            min=0, help="Mean number of faults: empty, truncated, frozen, repeated or refused answers."
        ),
    ] = 0.0,
) -> None:
    """Serve a simulated city, or a recording, as GBFS over HTTP."""
    logs.configure()
    try:
        start_at = datetime.now(UTC) - timedelta(hours=hours_ago)
        source = open_source(feed, seed=seed, start_at=start_at, speed=speed, stations=stations)
    except RecordingError as error:
        raise SystemExit(f"pmp-simulator: {error}") from error
    serve(source, host=host, port=port, anomalies=Anomalies(rate_per_hour=anomalies_per_hour, seed=seed))


def open_source(
    feed: str, *, seed: int, start_at: datetime, speed: float = 1.0, stations: int = 1400
) -> FeedSource:
    """The source that `--feed` names: `simulated`, or the path of a recording.

    Raises:
        RecordingError: the recording cannot be served; one sentence.
    """
    if feed == "simulated":
        return simulated(seed=seed, start_at=start_at, speed=speed, stations=stations)
    return open_recording(Path(feed), speed=speed)


def main() -> None:
    """The console script."""
    cli()


if __name__ == "__main__":
    main()
