"""`pmpctl status`: the state in sections; a section that cannot be read says why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from pmpctl.pipeline.state import State
from pmpctl.terminal import show_rows

QUERY_TIMEOUT_S: Final = 30.0
LATE_S: Final = 600  # the alert "A subscription falls behind" begins there too
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the status.

    Attributes:
        problems: one line for each problem in it.
        error: why it could not be read; else empty.
    """

    name: str
    rows: Rows
    problems: Sequence[str] = ()
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.problems and not self.error


def cloud_sections(google: Google, queries: Callable[[], Queries], now: datetime) -> list[Section]:
    state = State(google)
    return [
        _read("services", lambda: _services(state)),
        _read("schedules", lambda: _schedules(state)),
        _read("jobs", lambda: _jobs(state)),
        _read("subscriptions", lambda: _backlogs(google, state, now)),
        *table_sections(queries, now),
    ]


def local_sections(folder: StateFolder, queries: Callable[[], Queries], now: datetime) -> list[Section]:
    """The processes and, if the stack runs, the tables."""
    record = background.present(folder)
    if record is None:
        return [Section("processes", [], error="not running")]
    processes, problems = background.inspect(record, now.timestamp())
    return [Section("processes", processes, problems), *table_sections(queries, now)]


def table_sections(queries: Callable[[], Queries], now: datetime) -> list[Section]:
    """The newest row of each table, and the view `pipeline_health`."""
    return [
        _read("tables", lambda: Section("tables", [_age(row, now) for row in queries().rows("freshness")])),
        _read("health", lambda: _health(queries())),
    ]


def as_json(target: str, sections: Sequence[Section]) -> dict[str, Any]:
    tables = {
        section.name: {"error": section.error} if section.error else section.rows for section in sections
    }
    problems = [problem for section in sections for problem in section.problems]
    return {"target": target, "ok": all(s.ok for s in sections), "problems": problems, **tables}


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


def _services(state: State) -> Section:
    found = {service.id: service for service in state.services}
    rows: Rows = []
    for service in TOPOLOGY.services.values():
        one = found.get(service.id)
        rows.append(
            {
                "service": service.id,
                "ready": one is not None and one.ready,
                "revision": one.revision if one else "",
                "url": one.url if one else "",
                "detail": one.detail if one else "not deployed",
            }
        )
    problems = [f"{row['service']}: {row['detail'] or 'not ready'}" for row in rows if not row["ready"]]
    return Section("services", rows, problems)


def _schedules(state: State) -> Section:
    rows = [
        {
            "schedule": s.id,
            "state": s.state,
            "timing": s.timing,
            "last_attempt": s.last_attempt,
            "answer": "-" if s.last_attempt is None else "ok" if s.last_code == 0 else f"code {s.last_code}",
        }
        for s in state.schedules
    ]
    problems = [
        f"the last call of {s.id} failed: code {s.last_code}"
        for s in state.schedules
        if s.last_code and s.state == "ENABLED"
    ]
    problems += [f"{s.id} is {s.state}" for s in state.schedules if s.state not in {"ENABLED", "PAUSED"}]
    return Section("schedules", rows, problems)


def _jobs(state: State) -> Section:
    called = any(schedule.state == "ENABLED" for schedule in state.schedules)
    problems = [f"schedules run, but {job} does not: `pmpctl up --target cloud`" for job in state.idle]
    return Section("jobs", [asdict(job) for job in state.jobs], problems if called else ())


def _backlogs(google: Google, state: State, now: datetime) -> Section:
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
    if any(job.streaming for job in state.jobs):
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
        f"{row['missing_messages']:,} missing messages of {row['name']}: `pmpctl reconcile`"
        for row in rows
        if row["missing_messages"]
    ]
    return Section("health", rows, problems)


def _age(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    newest = row["newest_ts"]
    age = None if newest is None else max(0, round((now - newest).total_seconds()))
    return {"table": row["table_id"], "newest": newest, "age_s": age}
