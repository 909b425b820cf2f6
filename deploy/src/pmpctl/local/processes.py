"""The process table of the local stack."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from pmpctl.local.environment import LIVE
from pmpctl.local.ports import Ports

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
    "scheduler",
)
_GUNICORN: Final = ("-m", "gunicorn", "-c", "python:pmp_runtime.http.gunicorn_settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process of the stack.

    Attributes:
        name: also of its log file.
        argv: the command.
        env: variables beside those that all share.
        ports: that it listens on.
        health: URL that answers below 400 as soon as the process serves; None is ready at once.
        stops_last: ended only after all others have ended.
        after: a file that must exist before it is started.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    health: str | None = None
    stops_last: bool = False
    after: Path | None = None

    @property
    def command(self) -> str:
        """For a shell; `exec` makes the process the shell's successor, so that signals reach it."""
        wait = f"until test -e {shlex.quote(str(self.after))}; do sleep 0.1; done; " if self.after else ""
        return f"{wait}exec {shlex.join(self.argv)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What `pmpctl local up` was asked for.

    Attributes:
        feed: `simulated`, `live` or the path of a capture.
        speed: feed seconds per real second.
        hours_ago: when the simulated city begins.
        seed: of the simulated city.
        ephemeral: BigQuery's tables live in memory.
        without: processes to leave out.

    Raises:
        CommandError: a process to leave out does not exist.
    """

    feed: str
    speed: float
    hours_ago: float
    seed: int
    ephemeral: bool
    without: frozenset[str]

    def __post_init__(self) -> None:
        unknown = self.without - set(NAMES)
        if unknown:
            raise CommandError(f"--without {', '.join(sorted(unknown))}: choose from {', '.join(NAMES)}")


def process_table(
    options: StackOptions,
    ports: Ports,
    *,
    state: Path,
    python: Path,
    pubsub: tuple[str, ...] | None,
    ready_file: Path,
) -> tuple[ProcessSpec, ...]:
    """The processes to start, in order.

    Args:
        options: what was asked for.
        ports: of the stack.
        state: its state folder.
        python: interpreter of the environment that holds the services.
        pubsub: command of the Pub/Sub emulator; None where one runs already.
        ready_file: exists once the stack is ready; what needs topics and tables waits for it, and what would only
            take the processor from the others.
    """
    table = [
        _bigquery(options, ports, state, python),
        _service("collector", ports, python, "pmp_collector"),
        _service("writer", ports, python, "pmp_writer"),
        _service("replayer", ports, python, "pmp_replayer"),
        _service(
            "launcher",
            ports,
            python,
            "pmp_launcher",
            {"LAUNCHER_EXECUTOR": "local", "LAUNCHER_STATE_DIR": str(state / "features")},
        ),
        _service("dashboard", ports, python, "pmp_dashboard"),
        ProcessSpec(name="curation", argv=(str(python), "-m", "pmp_beam", "curate_status"), after=ready_file),
        _scheduler(ports, python, ready_file),
    ]
    if options.feed != LIVE:
        table.insert(1, _feed(options, ports, python))
    if pubsub is not None:
        health = f"{ports.url('pubsub')}/"
        own = (ports.of("pubsub"),)
        table.insert(0, ProcessSpec(name="pubsub", argv=pubsub, ports=own, health=health, stops_last=True))
    return tuple(spec for spec in table if spec.name not in options.without)


def _bigquery(options: StackOptions, ports: Ports, state: Path, python: Path) -> ProcessSpec:
    rest, grpc = ports.of("bigquery"), ports.of("bigquery-grpc")
    argv: tuple[str, ...] = (
        str(python),
        "-m",
        "pmpctl.local.bigquery",
        f"--rest-port={rest}",
        f"--grpc-port={grpc}",
    )
    argv += (f"--project={TOPOLOGY.local_project}",)
    if not options.ephemeral:
        argv += (f"--data-dir={state / 'bigquery'}",)
    return ProcessSpec(
        name="bigquery",
        argv=argv,
        ports=(rest, grpc),
        health=f"{ports.url('bigquery')}/healthz",
        stops_last=True,
    )


def _feed(options: StackOptions, ports: Ports, python: Path) -> ProcessSpec:
    port = ports.of("feed")
    return ProcessSpec(
        name="feed",
        argv=(
            str(python.with_name("pmp-simulator")),
            f"--port={port}",
            f"--feed={options.feed}",
            f"--speed={options.speed:g}",
            f"--hours-ago={options.hours_ago:g}",
            f"--seed={options.seed}",
        ),
        ports=(port,),
        health=f"{ports.url('feed')}/gbfs.json",
    )


def _service(
    name: str, ports: Ports, python: Path, package: str, env: Mapping[str, str] | None = None
) -> ProcessSpec:
    port = ports.of(name)
    return ProcessSpec(
        name=name,
        argv=(str(python), *_GUNICORN, f"{package}.wsgi:app"),
        env={"PORT": str(port), **(env or {})},
        ports=(port,),
        health=f"{ports.url(name)}/health",
    )


def _scheduler(ports: Ports, python: Path, ready_file: Path) -> ProcessSpec:
    services = (f"--service={key}={ports.url(key)}" for key in TOPOLOGY.services)
    return ProcessSpec(
        name="scheduler",
        argv=(str(python), "-m", "pmpctl", "scheduler", *services),
        after=ready_file,
    )
