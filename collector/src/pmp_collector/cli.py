"""`pmp-collector simulate`: publish simulated sensor events."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pmp_collector.config import Config
from pmp_collector.sensor_simulation import SensorSimulation, SimulationRequest
from pmp_collector.sensors import printed
from pmp_runtime.config import ConfigError
from pmp_schema.errors import PublishFailed

N = TypeVar("N", int, float)


def parser() -> argparse.ArgumentParser:
    """The arguments of the console script."""
    top = argparse.ArgumentParser(prog="pmp-collector", description="The collector's command line.")
    commands = top.add_subparsers(dest="command", required=True)
    simulate = commands.add_parser(
        "simulate",
        help="publish simulated sensor events",
        description="Publish simulated sensor events; sparse mode prints one `Published: {...}` line per event.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = simulate.add_argument
    add(
        "--mode",
        choices=("sparse", "continuous"),
        default="sparse",
        help="an event every second or two, or a steady stream",
    )
    add("--events", type=_between(int, 1, 10_000_000), default=5, help="number of events")
    add(
        "--rate",
        type=_between(float, 0.01, 1e6),
        default=100.0,
        help="events per second; continuous mode only",
    )
    add("--stations", type=_between(int, 1, 10_000), default=4, help="number of stations that send them")
    add(
        "--seed", type=int, default=1, help="the same seed gives the same events, except for run id and times"
    )
    add("--city", default=None, help="city_id of the events")
    add("--quiet", action="store_true", help="do not print the events")
    return top


def simulate(args: argparse.Namespace) -> None:
    """Raises:
    ConfigError: PROJECT_ID is not set, or there are no credentials.
    PublishFailed: Pub/Sub did not confirm.
    """
    config = Config.from_env(os.environ)  # first: the imports below take a second
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - slow, and not needed for `--help`
    from google.pubsub_v1 import PublisherClient  # noqa: PLC0415

    from pmp_collector.poll_events import SOURCE  # noqa: PLC0415
    from pmp_runtime.pubsub.publisher import PubSubPublisher  # noqa: PLC0415

    try:
        client = PublisherClient()
    except GoogleAuthError as error:
        raise ConfigError(f"no Google credentials: {str(error).partition(chr(10))[0]}") from error
    publisher = PubSubPublisher(client, config.project, source=SOURCE, timeout_s=config.publish_timeout_s)
    is_sparse = args.mode == "sparse"
    wanted = SimulationRequest(
        events=args.events,
        stations=args.stations,
        rate_per_s=None if is_sparse else args.rate,
        seed=args.seed,
        city_id=args.city,
    )
    show = _printer(args.events, prints_events=is_sparse and not args.quiet)
    try:
        done = SensorSimulation(publisher, config.sensor_topic).run(wanted, show)
    finally:
        publisher.flush_counts()
    sys.stderr.write(f"{done['published']} events of run {done['run']} in {done['seconds']} s\n")


def _printer(total: int, *, prints_events: bool) -> Callable[[Sequence[dict[str, Any]]], None]:
    """Prints the events on stdout, or else the count so far on stderr if that is a terminal."""
    published = 0

    def show(batch: Sequence[dict[str, Any]]) -> None:
        nonlocal published
        published += len(batch)
        if prints_events:
            sys.stdout.writelines(printed(event) + "\n" for event in batch)
            sys.stdout.flush()
        elif sys.stderr.isatty():
            sys.stderr.write(f"\r{published} of {total} published" + ("\n" if published == total else ""))

    return show


def _between(kind: type[N], smallest: N, largest: N) -> Callable[[str], N]:
    def parse(text: str) -> N:
        value = kind(text)
        if not smallest <= value <= largest:
            raise argparse.ArgumentTypeError(f"{text} is not between {smallest} and {largest}")
        return value

    parse.__name__ = kind.__name__
    return parse


def main() -> None:
    """The console script; failures that a user can fix are one line."""
    args = parser().parse_args()
    started = time.monotonic()
    try:
        simulate(args)
    except ConfigError as error:
        raise SystemExit(f"pmp-collector: {error}") from error
    except PublishFailed as error:
        seconds = time.monotonic() - started
        raise SystemExit(f"pmp-collector: Pub/Sub did not confirm after {seconds:.0f} s: {error}") from error


if __name__ == "__main__":
    main()
