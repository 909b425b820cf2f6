"""`pmpctl status`: what is there, as sections; a section that cannot be read says why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from pmp_schema.bigquery.queries import Queries
from pmp_schema.errors import RetryableError
from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud import dataflow, metrics, schedules, services
from pmpctl.cloud.clients import Google
from pmpctl.errors import CommandError
from pmpctl.local import control
from pmpctl.local.record import StateFolder
from pmpctl.pipeline.power import job_json
from pmpctl.terminal import rows_table

QUERY_TIMEOUT_S: Final = 30.0
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the status.

    Attributes:
        ok: nothing in it is wrong.
        error: why it could not be read, else empty.
    """

    name: str
    rows: Rows
    ok: bool = True
    error: str = ""


def cloud_sections(google: Google, queries: Queries, now: datetime) -> list[Section]:
    return [
        _read("services", lambda: _services(google)),
        _read("schedules", lambda: _schedules(google)),
        _read("jobs", lambda: _jobs(google)),
        _read("subscriptions", lambda: _backlogs(google, now)),
        *warehouse_sections(queries, now),
    ]


def local_sections(state: StateFolder, queries: Queries, now: datetime) -> list[Section]:
    """The processes, and the tables where there are any."""
    record = control.present(state)
    if record is None:
        return [Section("processes", [], ok=False, error="not running")]
    processes = [asdict(process) for process in control.inspect(record)]
    well = record.status == "ready" and all(p["running"] and p["healthy"] is not False for p in processes)
    return [Section("processes", processes, ok=well), *warehouse_sections(queries, now)]


def warehouse_sections(queries: Queries, now: datetime) -> list[Section]:
    """The newest row of each table, and the view on the pipeline's health."""
    return [
        _read("tables", lambda: Section("tables", [_age(row, now) for row in queries.rows("freshness")])),
        _read("health", lambda: Section("health", [dict(row) for row in queries.rows("health")])),
    ]


def as_json(target: str, sections: Sequence[Section]) -> dict[str, Any]:
    told = {section.name: {"error": section.error} if section.error else section.rows for section in sections}
    return {"target": target, "ok": all(s.ok for s in sections), **told}


def show(sections: Sequence[Section], console: Console) -> None:
    for section in sections:
        if section.error:
            console.print(f"{section.name}: [red]{escape(section.error)}[/]", highlight=False)
        elif section.rows:
            console.print(rows_table(section.name, section.rows))
        else:
            console.print(f"{section.name}: none")


def _read(name: str, read: Callable[[], Section]) -> Section:
    try:
        return read()
    except (CommandError, RetryableError) as error:
        return Section(name, [], ok=False, error=str(error))


def _services(google: Google) -> Section:
    wanted = [service.id for service in TOPOLOGY.services.values()]
    found = {service.id: service for service in services.read_services(google, set(wanted))}
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
    return Section("services", rows, ok=all(row["ready"] for row in rows))


def _schedules(google: Google) -> Section:
    found = schedules.read_schedules(google, {s.id for s in TOPOLOGY.schedules})
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
    return Section("schedules", rows, ok=all(s.last_code == 0 for s in found))


def _jobs(google: Google) -> Section:
    found = dataflow.read_jobs(google, set(TOPOLOGY.jobs.values()))
    return Section("jobs", [job_json(job) for job in found])


def _backlogs(google: Google, now: datetime) -> Section:
    backlogs = metrics.read_backlogs(google, now)
    rows = [
        {
            "subscription": s.id,
            "undelivered": backlogs[s.id][0],
            "oldest_s": backlogs[s.id][1],
        }
        for s in TOPOLOGY.subscriptions
        if s.id in backlogs
    ]
    return Section("subscriptions", rows)


def _age(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    newest = row["newest_ts"]
    age = None if newest is None else max(0, round((now - newest).total_seconds()))
    return {"table": row["table_id"], "newest": newest, "age_s": age}
