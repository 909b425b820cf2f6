"""The processes of the local stack."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from pmpctl.errors import CommandError
from pmpctl.local.ports import Ports
from pmpctl.local.variables import LIVE

NAMES: Final = (
    "pubsub",
    "bigquery",
    "feed",
    "collector",
    "writer",
    "replayer",
    "launcher",
    "dashboard",
    "curation",
    "ingestion",
    "scheduler",
)
_GUNICORN: Final = ("-m", "gunicorn", "-c", "python:pmp_runtime.http.gunicorn_settings")


class Ingestion(StrEnum):
    """What takes the sensor events to BigQuery: pushes to the writer, or Beam's `ingest_events`, which pulls."""

    PUSH = "push"
    PULL = "pull"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process of the stack.

    Attributes:
        name: also of its log file.
        env: variables in addition to those that all processes share.
        ports: on which it listens.
        health: URL that answers below 400 while the process serves; None if it serves nothing.
        is_emulator: it ends last, and the stack ends with it.
        when_ready: started only when the stack is ready, because it needs topics and tables.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    health: str | None = None
    is_emulator: bool = False
    when_ready: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """The options of `pmpctl up`.

    Attributes:
        feed: `simulated`, `live` or the path of a capture.
        speed: feed seconds per real second.
        hours_ago: when the simulated city begins.
        seed: of the simulated city.
        ephemeral: BigQuery's tables live in memory.
        without: processes to leave out.

    Raises:
        CommandError: there is no feed or process of that name.
    """

    feed: str
    speed: float = 1.0
    hours_ago: float = 0.0
    seed: int = 1
    ephemeral: bool = False
    without: frozenset[str] = frozenset()
    ingestion: Ingestion = Ingestion.PUSH

    def __post_init__(self) -> None:
        unknown = self.without - set(NAMES)
        if unknown:
            raise CommandError(f"--without {', '.join(sorted(unknown))}: choose from {', '.join(NAMES)}")


def process_table(
    options: StackOptions, ports: Ports, *, state: Path, pubsub: tuple[str, ...] | None
) -> tuple[ProcessSpec, ...]:
    """The processes to start, in order.

    Args:
        state: the stack's state folder.
        pubsub: command of the Pub/Sub emulator; None if one runs already.
    """
    executor = {"LAUNCHER_EXECUTOR": "local", "LAUNCHER_STATE_DIR": str(state / "features")}
    table = [
        _bigquery(options, ports, state),
        _service("collector", ports, "pmp_collector"),
        _service("writer", ports, "pmp_writer"),
        _service("replayer", ports, "pmp_replayer"),
        _service("launcher", ports, "pmp_launcher", executor),
        _service("dashboard", ports, "pmp_dashboard"),
        _worker("curation", "pmp_beam", "curate_status"),
        _worker("scheduler", "pmpctl", "scheduler"),
    ]
    if options.ingestion is Ingestion.PULL:
        table.insert(-1, _worker("ingestion", "pmp_beam", "ingest_events"))
    if options.feed != LIVE:
        table.insert(1, _feed(options, ports))
    if pubsub is not None:
        own = (ports.of("pubsub"),)
        health = f"{ports.url('pubsub')}/"
        table.insert(0, ProcessSpec(name="pubsub", argv=pubsub, ports=own, health=health, is_emulator=True))
    return tuple(spec for spec in table if spec.name not in options.without)


def _bigquery(options: StackOptions, ports: Ports, state: Path) -> ProcessSpec:
    rest, grpc = ports.of("bigquery"), ports.of("bigquery-grpc")
    argv = (
        sys.executable,
        "-m",
        "pmpctl.local.bigquery_emulator",
        f"--rest-port={rest}",
        f"--grpc-port={grpc}",
    )
    return ProcessSpec(
        name="bigquery",
        argv=argv if options.ephemeral else (*argv, f"--data-dir={state / 'bigquery'}"),
        ports=(rest, grpc),
        health=f"{ports.url('bigquery')}/healthz",
        is_emulator=True,
    )


def _feed(options: StackOptions, ports: Ports) -> ProcessSpec:
    port = ports.of("feed")
    return ProcessSpec(
        name="feed",
        argv=(
            str(Path(sys.executable).with_name("pmp-simulator")),
            f"--port={port}",
            f"--feed={options.feed}",
            f"--speed={options.speed:g}",
            f"--hours-ago={options.hours_ago:g}",
            f"--seed={options.seed}",
        ),
        ports=(port,),
        health=f"{ports.url('feed')}/gbfs.json",
    )


def _service(name: str, ports: Ports, package: str, env: Mapping[str, str] | None = None) -> ProcessSpec:
    port = ports.of(name)
    return ProcessSpec(
        name=name,
        argv=(sys.executable, *_GUNICORN, f"{package}.wsgi:app"),
        env={"PORT": str(port), **(env or {})},
        ports=(port,),
        health=f"{ports.url(name)}/health",
    )


def _worker(name: str, package: str, command: str) -> ProcessSpec:
    return ProcessSpec(name=name, argv=(sys.executable, "-m", package, command), when_ready=True)
