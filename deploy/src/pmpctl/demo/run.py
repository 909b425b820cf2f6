"""`make demo`: starts a stack, drives the pipeline, shows the rows, stops. `.pmp/demo.json` has what it did."""

import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from pmp_runtime.bigquery.queries import query_client
from pmp_schema import gbfs, tables
from pmp_schema.errors import RetryableError
from pmp_schema.timestamps import format_timestamp
from pmpctl.collector import results
from pmpctl.demo.landed import Landed, Published
from pmpctl.errors import CommandError
from pmpctl.http import answer
from pmpctl.local import background
from pmpctl.local.commands import feed_source, start
from pmpctl.local.local_stack import LocalStack
from pmpctl.local.processes import StackOptions
from pmpctl.local.variables import LIVE
from pmpctl.terminal import show_rows

FEED_TABLES: Final = {"station_status": "feed_snapshots", "station_information": "station_information"}
REQUEST_TIMEOUT_S: Final = 60.0  # a collect may retry the feed
LANDING_TIMEOUT_S: Final = 60.0
FEATURES_TIMEOUT_S: Final = 120.0
# The Pub/Sub emulator pushes about 100 events a second on two cores.
SENSORS: Final = {"events": 200, "rate_per_s": 200, "stations": 20, "city_id": "paris"}
# Five minutes of the simulated city pass in a second; it begins so long ago that it does not reach the present.
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
    """The content of `.pmp/demo.json`.

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


def run(feed: str, stack: LocalStack, report_file: Path, console: Console) -> bool:
    """Drives the demo; returns whether every step succeeded and nothing was lost."""
    report = Report(feed=feed)
    demo = Demo(stack, report, console)
    started = time.monotonic()
    try:
        report.ok = demo.attempt(demo.drive) and report.lost == 0
    finally:  # after a signal, too
        report.ok = demo.attempt(demo.stop) and report.ok
        report.seconds = round(time.monotonic() - started, 1)
        report_file.parent.mkdir(parents=True, exist_ok=True)
        report_file.write_text(json.dumps(asdict(report), indent=2) + "\n")
    verdict = "[green]ok[/]" if report.ok else "[red]failed[/]"
    console.print(
        f"{verdict}: {report.published} messages published, {report.lost} lost, {report.seconds} s; "
        f"details in {os.path.relpath(report_file)}"
    )
    return report.ok


class Demo:
    """The steps of one demo."""

    def __init__(self, stack: LocalStack, report: Report, console: Console) -> None:
        self._stack, self._report, self._console = stack, report, console
        self._variables = stack.variables
        self._published = Published()
        self._started = False

    def attempt(self, work: Callable[[], None]) -> bool:
        """Does a part of the demo; an expected failure is one line."""
        try:
            work()
        except (CommandError, RetryableError, httpx.HTTPError) as error:
            self._console.print(f"[red]failed[/]  {error}")
            return False
        return True

    def stop(self) -> None:
        if self._started:  # else the stack may be another demo's
            with self._step("stop the stack"):
                background.stop(self._stack.state)

    def drive(self) -> None:
        with self._step("start the stack"):
            start(self._options(), self._stack, quiet=True)
            self._started = True
        with self._client("COLLECTOR_URL", REQUEST_TIMEOUT_S) as collector:
            self.collect(collector, self._feeds())
            with self._step(f"simulate {SENSORS['events']} sensor events"):
                simulated = answer(collector.post("/simulate", json=SENSORS), "collector")
                self._published.sensor_run = simulated["run"]
                self._published.sensor_events = simulated["published"]
        self._report.published = self._published.total
        self._await_rows()

    def collect(self, collector: httpx.Client, feeds: Collection[str]) -> None:
        """Polls each feed once, and the status feed of a simulated or recorded city some times more."""
        for name, table in FEED_TABLES.items():
            if name not in feeds:
                self._console.print(f"ok  {name} is not part of this recording")
                continue
            with self._step(f"collect {name}"):
                result = _poll(collector, name, {"published"})
                self._published.messages[table] = [result["message_id"]]
        if "station_status" not in feeds or self._report.feed == LIVE:  # the live system is polled only once
            return
        with self._step(f"collect station_status {MORE_POLLS} times more"):
            for _ in range(MORE_POLLS):
                time.sleep(1)
                result = _poll(collector, "station_status", {"published", "unchanged"})
                self._published.messages["feed_snapshots"] += filter(None, [result["message_id"]])

    def _options(self) -> StackOptions:
        feed = feed_source(self._report.feed)
        clock: dict[str, Any] = {} if feed == LIVE else {"speed": SPEED, "hours_ago": HOURS_AGO}
        return StackOptions(feed=feed, ephemeral=True, without=frozenset({"scheduler"}), **clock)

    def _feeds(self) -> Collection[str]:
        """The feeds that the feed server lists; a recorded series has only one."""
        if self._report.feed == LIVE:
            return FEED_TABLES.keys()
        url = f"{self._stack.ports.url('feed')}/gbfs.json"
        response = httpx.get(url, timeout=REQUEST_TIMEOUT_S, trust_env=False)
        return gbfs.feed_urls(gbfs.decode(response.raise_for_status().content)).keys()

    def _await_rows(self) -> None:
        report, published, variables = self._report, self._published, self._variables
        landed = Landed(query_client(variables["PROJECT_ID"], variables["BIGQUERY_EMULATOR_HOST"]))
        with self._step("wait for the rows"):
            report.lost = _wait(lambda: landed.missing(published))
        with self._step("wait for the curation"):
            report.lost += _wait(lambda: landed.uncurated(published) + landed.missing_rides())
        with self._step("compute station features"):
            self._compute_features()
            report.lost += _wait(landed.missing_runs)
        with self._step("query tables and marts"):
            counts = {tables.table(name).id: count for name, count in landed.counts().items()}
            report.tables = {table: rows for table, (rows, _) in counts.items()}
            exhibits = landed.exhibits()
        exhibits["BigQuery"] = [
            {"table": table, "rows": rows, "newest": "-" if age_s is None else f"{age_s:.1f} s ago"}
            for table, (rows, age_s) in counts.items()
        ]
        for title, rows in exhibits.items():
            if rows:
                show_rows(title, rows, self._console)

    def _compute_features(self) -> None:
        """Computes the features of now; provisional, because the demo's events are younger than a minute."""
        now = format_timestamp(datetime.now(UTC))
        wanted = {"as_of": now, "known_at": now, "provisional": True, "wait": True}
        with self._client("LAUNCHER_URL", FEATURES_TIMEOUT_S) as launcher:
            run = answer(launcher.post("/runs", json=wanted), "launcher")
        if run["status"] != "succeeded":
            raise CommandError(f"feature run {run['run_id']}: {run['status']}: {run.get('error')}")

    def _client(self, variable: str, timeout_s: float) -> httpx.Client:
        return httpx.Client(base_url=self._variables[variable], timeout=timeout_s, trust_env=False)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        ok = False
        try:
            with self._console.status(name):
                yield
            ok = True
        finally:
            seconds = round(time.monotonic() - started, 2)
            self._report.steps.append(Step(name, ok, seconds))
            mark = "[green]ok[/]" if ok else "[red]failed[/]"
            self._console.print(f"{mark}  {name} [dim]{seconds:.1f} s[/]")


def _poll(collector: httpx.Client, feed: str, good: Collection[str]) -> dict[str, Any]:
    (result,) = results(collector.post(f"/collect/{feed}"))
    if result["outcome"] not in good:
        raise CommandError(f"collect {feed}: {result['outcome']}: {result['detail']}")
    return result


def _wait(missing: Callable[[], int]) -> int:
    """Waits until nothing is missing; returns what still is after the time-out."""
    deadline = time.monotonic() + LANDING_TIMEOUT_S
    while (lost := missing()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return lost
