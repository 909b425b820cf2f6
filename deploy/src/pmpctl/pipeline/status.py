"""`pmpctl status`: what is there, as sections; a section that cannot be read says why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from pmp_runtime.bigquery.queries import Queries
from pmp_schema.errors import RetryableError
from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud import metrics
from pmpctl.cloud.clients import Google
from pmpctl.errors import CommandError
from pmpctl.local import background
from pmpctl.local.state_folder import StateFolder
from pmpctl.pipeline.power import job_json
from pmpctl.pipeline.state import ProjectLists
from pmpctl.terminal import show_rows

QUERY_TIMEOUT_S: Final = 30.0
LATE_S: Final = 600  # the alert "A subscription falls behind" begins there too
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the status.

    Attributes:
        problems: what in it is wrong, a line each.
        error: why it could not be read, else empty.
    """

    name: str
    rows: Rows
    problems: Sequence[str] = ()
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.problems and not self.error


def cloud_sections(google: Google, queries: Callable[[], Queries], now: datetime) -> list[Section]:
    lists = ProjectLists(google)
    return [
        _read("services", lambda: _services(lists)),
        _read("schedules", lambda: _schedules(lists)),
        _read("jobs", lambda: _jobs(lists)),
        _read("subscriptions", lambda: _backlogs(google, lists, now)),
        *warehouse_sections(queries, now),
    ]


def local_sections(state: StateFolder, queries: Callable[[], Queries], now: datetime) -> list[Section]:
    """The processes, and the tables where there are any."""
    record = background.present(state)
    if record is None:
        return [Section("processes", [], error="not running")]
    processes, problems = background.inspect(record, now.timestamp())
    return [Section("processes", processes, problems), *warehouse_sections(queries, now)]


def warehouse_sections(queries: Callable[[], Queries], now: datetime) -> list[Section]:
    """The newest row of each table, and the view on the pipeline's health; BigQuery is asked for in each."""
    return [
        _read("tables", lambda: Section("tables", [_age(row, now) for row in queries().rows("freshness")])),
        _read("health", lambda: _health(queries())),
    ]


def as_json(target: str, sections: Sequence[Section]) -> dict[str, Any]:
    told = {section.name: {"error": section.error} if section.error else section.rows for section in sections}
    problems = [problem for section in sections for problem in section.problems]
    return {"target": target, "ok": all(s.ok for s in sections), "problems": problems, **told}


def show(sections: Sequence[Section], console: Console) -> None:
    for section in sections:
        if section.error:
            console.print(f"{section.name}: [red]{escape(section.error)}[/]", highlight=False)
        elif section.rows:
            show_rows(section.name, section.rows, console)
        else:
            console.print(f"{section.name}: none")
    for problem in (problem for section in sections for problem in section.problems):
        console.print(f"[red]{escape(problem)}[/]", highlight=False)


def _read(name: str, read: Callable[[], Section]) -> Section:
    try:
        return read()
    except (CommandError, RetryableError) as error:
        return Section(name, [], error=str(error))


def _services(lists: ProjectLists) -> Section:
    wanted = [service.id for service in TOPOLOGY.services.values()]
    found = {service.id: service for service in lists.services}
    rows = [
        {
            "service": name,
            "ready": name in found and found[name].ready,
            "revision": found[name].revision if name in found else "",
            "url": found[name].url if name in found else "",
            "detail": found[name].detail if name in found else "not deployed",
        }
        for name in wanted
    ]
    problems = [f"{row['service']}: {row['detail'] or 'not ready'}" for row in rows if not row["ready"]]
    return Section("services", rows, problems)


def _schedules(lists: ProjectLists) -> Section:
    found = lists.schedules
    rows = [
        {
            "schedule": s.id,
            "state": s.state,
            "timing": s.timing,
            "last_attempt": s.last_attempt,
            "answer": "-" if s.last_attempt is None else "ok" if s.last_code == 0 else f"code {s.last_code}",
        }
        for s in found
    ]
    problems = [
        f"the last call of {s.id} failed: code {s.last_code}"
        for s in found
        if s.last_code and s.state == "ENABLED"
    ]
    problems += [f"{s.id} is {s.state}" for s in found if s.state not in {"ENABLED", "PAUSED"}]
    return Section("schedules", rows, problems)


def _jobs(lists: ProjectLists) -> Section:
    state = lists.state()
    called = any(schedule.state == "ENABLED" for schedule in state.schedules)
    problems = [f"schedules run, and {job} does not: `pmpctl up --target cloud`" for job in state.idle]
    return Section("jobs", [job_json(job) for job in state.jobs], problems if called else ())


def _backlogs(google: Google, lists: ProjectLists, now: datetime) -> Section:
    backlogs = metrics.read_backlogs(google, now)
    rows: Rows = [
        {
            "subscription": s.id,
            "undelivered": backlogs[s.id][0],
            "oldest_s": backlogs[s.id][1],
        }
        for s in TOPOLOGY.subscriptions
        if s.id in backlogs
    ]
    read = {s.id for s in TOPOLOGY.subscriptions if s.push_path is not None}
    if any(job.streaming for job in lists.jobs):
        read |= {TOPOLOGY.pull_subscription(topic).id for topic in ("snapshots", "sensor-events")}
    problems = [
        f"the oldest message of {row['subscription']} has waited {row['oldest_s']:,} s"
        for row in rows
        if row["oldest_s"] > LATE_S and row["subscription"] in read
    ]
    return Section("subscriptions", rows, problems)


def _health(queries: Queries) -> Section:
    rows = [dict(row) for row in queries.rows("health")]
    problems = [
        f"{row['missing_messages']:,} messages of {row['name']} are missing: `pmpctl reconcile`"
        for row in rows
        if row["missing_messages"]
    ]
    return Section("health", rows, problems)


def _age(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    newest = row["newest_ts"]
    age = None if newest is None else max(0, round((now - newest).total_seconds()))
    return {"table": row["table_id"], "newest": newest, "age_s": age}
