"""`make demo`: starts the stack, drives the pipeline, shows the rows, stops. What it did is in `.pmp/demo.json`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from pmp_schema import gbfs, tables
from pmp_schema.errors import RetryableError
from pmp_schema.timestamps import format_timestamp
from pmpctl.collector.requests import results
from pmpctl.demo.exhibits import EXHIBITS, counts_table, exhibit_table
from pmpctl.demo.landed import Landed, Published
from pmpctl.errors import CommandError
from pmpctl.http import answer
from pmpctl.local.environment import LIVE

FEED_TABLES: Final = {"station_status": "feed_snapshots", "station_information": "station_information"}
REQUEST_TIMEOUT_S: Final = 60.0  # a collect may retry the feed
LANDING_TIMEOUT_S: Final = 60.0
FEATURES_TIMEOUT_S: Final = 120.0
SENSOR_EVENTS: Final = 200  # the Pub/Sub emulator pushes about 100 a second on two cores
SENSOR_RATE_PER_S: Final = 200
# The simulated city lives five minutes in a second, and begins so long ago that it does not reach the present.
SPEED: Final = 300
HOURS_AGO: Final = 6
MORE_POLLS: Final = 3


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    ok: bool
    seconds: float


@dataclass(slots=True, kw_only=True)
class Report:
    """What `.pmp/demo.json` says.

    Attributes:
        published: messages that Pub/Sub confirmed.
        tables: rows by table.
        lost: published messages that are neither a row nor a dead letter.
    """

    feed: str
    ok: bool = False
    seconds: float = 0.0
    published: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, console: Console, name: str) -> Iterator[None]:
        started = time.monotonic()
        ok = False
        try:
            with console.status(name):
                yield
            ok = True
        finally:
            seconds = round(time.monotonic() - started, 2)
            self.steps.append(Step(name, ok, seconds))
            mark = "[green]ok[/]" if ok else "[red]failed[/]"
            console.print(f"{mark}  {name} [dim]{seconds:.1f} s[/]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """How the demo reaches the stack that it starts.

    Attributes:
        variables: as `pmpctl local env` prints them.
        env: of the `pmpctl local` processes; names a state folder of the demo's own.
        feeds: asks which feeds there are to collect; a recorded series has only one.
        landed: makes the view on the stack's BigQuery.
    """

    variables: Mapping[str, str]
    env: Mapping[str, str]
    feeds: Callable[[], Collection[str]]
    landed: Callable[[], Landed]


def run(feed: str, stack: Stack, report_file: Path, console: Console) -> bool:
    """Drives the demo; returns whether every step succeeded and nothing was lost."""
    report = Report(feed=feed)
    started = time.monotonic()
    try:
        report.ok = _attempt(console, lambda: _drive(feed, stack, report, console)) and report.lost == 0
    finally:  # also where the demo itself is ended
        report.ok = _attempt(console, lambda: _stop(stack, report, console)) and report.ok
        report.seconds = round(time.monotonic() - started, 1)
        report_file.parent.mkdir(parents=True, exist_ok=True)
        report_file.write_text(json.dumps(asdict(report), indent=2) + "\n")
    verdict = "[green]ok[/]" if report.ok else "[red]failed[/]"
    console.print(
        f"{verdict}: {report.published} messages published, {report.lost} lost, {report.seconds} s; "
        f"details in {os.path.relpath(report_file)}"
    )
    return report.ok


def feeds_to_collect(feed_server: str | None) -> Collection[str]:
    """The feeds that the feed server lists; both for the live system, which has no feed server here."""
    if feed_server is None:
        return FEED_TABLES.keys()
    response = httpx.get(f"{feed_server}/gbfs.json", timeout=REQUEST_TIMEOUT_S, trust_env=False)
    return gbfs.feed_urls(gbfs.decode(response.raise_for_status().content)).keys()


def _attempt(console: Console, work: Callable[[], None]) -> bool:
    """Does a part of the demo; what a person can mend is one line."""
    try:
        work()
    except (CommandError, RetryableError, httpx.HTTPError, subprocess.TimeoutExpired) as error:
        console.print(f"[red]failed[/]  {error}")
        return False
    return True


def _stop(stack: Stack, report: Report, console: Console) -> None:
    with report.step(console, "stop the stack"):
        _pmpctl(stack, "down")


def _drive(feed: str, stack: Stack, report: Report, console: Console) -> None:
    with report.step(console, "start the stack"):
        clock = ("--speed", str(SPEED), "--hours-ago", str(HOURS_AGO)) if feed != LIVE else ()
        _pmpctl(stack, "up", "--detach", "--ephemeral", "--without", "scheduler", "--feed", feed, *clock)
    published = Published()
    with httpx.Client(
        base_url=stack.variables["COLLECTOR_URL"], timeout=REQUEST_TIMEOUT_S, trust_env=False
    ) as collector:
        _collect(feed, collector, stack.feeds(), published, report, console)
        with report.step(console, f"simulate {SENSOR_EVENTS} sensor events"):
            wanted = {
                "events": SENSOR_EVENTS,
                "rate_per_s": SENSOR_RATE_PER_S,
                "stations": 20,
                "city_id": "paris",
            }
            told = answer(collector.post("/simulate", json=wanted), "collector")
            published.sensor_run, published.sensor_events = told["run"], told["published"]
    report.published = published.total
    landed = stack.landed()
    with report.step(console, "wait for the rows"):
        report.lost = _wait(lambda: landed.missing(published))
    with report.step(console, "wait for the curation"):
        report.lost += _wait(lambda: landed.uncurated(published) + landed.missing_rides())
    with report.step(console, "compute station features"):
        _compute_features(stack)
        report.lost += _wait(landed.untold_runs)
    with report.step(console, "query tables and marts"):
        counts = {tables.table(name).id: count for name, count in landed.counts().items()}
        report.tables = {table: rows for table, (rows, _) in counts.items()}
        shown = [exhibit_table(title, landed.sample(name)) for name, title in EXHIBITS.items()]
    for table in (*shown, counts_table(counts)):
        console.print(table)


def _collect(
    feed: str,
    collector: httpx.Client,
    feeds: Collection[str],
    published: Published,
    report: Report,
    console: Console,
) -> None:
    for name, table in FEED_TABLES.items():
        if name not in feeds:
            console.print(f"ok  {name} is not part of this recording")
            continue
        with report.step(console, f"collect {name}"):
            (result,) = results(collector.post(f"/collect/{name}"))
            if result["outcome"] != "published":
                raise CommandError(f"collect {name}: {result['outcome']}: {result['detail']}")
            published.messages[table] = [result["message_id"]]
    if "station_status" not in feeds or feed == LIVE:  # one look at the live system is enough
        return
    with report.step(console, f"collect station_status {MORE_POLLS} times more"):
        for _ in range(MORE_POLLS):
            time.sleep(1)
            (result,) = results(collector.post("/collect/station_status"))
            if result["outcome"] == "failed":
                raise CommandError(f"collect station_status: {result['detail']}")
            published.messages["feed_snapshots"] += [result["message_id"]] if result["message_id"] else []


def _compute_features(stack: Stack) -> None:
    """Asks for the features of now; provisional, because the demo's events are younger than a minute."""
    now = format_timestamp(datetime.now(UTC))
    wanted = {"as_of": now, "known_at": now, "provisional": True, "wait": True}
    with httpx.Client(
        base_url=stack.variables["LAUNCHER_URL"], timeout=FEATURES_TIMEOUT_S, trust_env=False
    ) as launcher:
        run = answer(launcher.post("/runs", json=wanted), "launcher")
    if run["status"] != "succeeded":
        raise CommandError(f"feature run {run['run_id']}: {run['status']}: {run.get('error')}")


def _wait(missing: Callable[[], int]) -> int:
    """Waits until nothing is missing; returns what still is after the time-out."""
    deadline = time.monotonic() + LANDING_TIMEOUT_S
    while (lost := missing()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return lost


def _pmpctl(stack: Stack, *arguments: str) -> None:
    command = [sys.executable, "-m", "pmpctl", "local", *arguments]
    done = subprocess.run(
        command, env=dict(stack.env), capture_output=True, text=True, timeout=180, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or f"{arguments[0]} failed"
        raise CommandError(said.removeprefix("pmpctl: "))
