"""Cloud Logging: the lines of a Cloud Run service or a Dataflow job."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud.clients import Google
from pmpctl.errors import CommandError
from pmpctl.terminal import dump

LIMIT: Final = 1000
FOLLOW_PAUSE_S: Final = 3.0
# Entries arrive out of order; those of the last seconds are asked for again, and shown once.
_LATENESS: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Line:
    """One entry; `fields` are those beside the message."""

    at: datetime
    severity: str
    message: str
    fields: dict[str, Any]


def source_filter(name: str) -> str:
    """The filter of a service, a pipeline's Dataflow jobs, or the launcher that submits them; by key or name.

    Raises:
        CommandError: none has this name.
    """
    jobs = TOPOLOGY.jobs
    services = {key: service.id for key, service in TOPOLOGY.services.items()}
    submitters = {f"{key}_launcher": name for key, name in TOPOLOGY.launchers.items()}
    for names, source in (
        (services, 'resource.type="cloud_run_revision" AND resource.labels.service_name="{}"'),
        # A batch job has its run's name behind the pipeline's.
        (jobs, 'resource.type="dataflow_step" AND resource.labels.job_name=~"^{}(-|$)"'),
        (submitters, 'resource.type="cloud_run_job" AND resource.labels.job_name="{}"'),
    ):
        found = names.get(name) or (name if name in names.values() else None)
        if found:
            return source.format(found)
    known = ", ".join([*services, *jobs, *submitters])
    raise CommandError(f"no service or pipeline {name}; there are: {known}")


def read_lines(
    google: Google, source: str, *, since: datetime, severity: str | None
) -> list[tuple[str, Line]]:
    """The newest entries since a time, oldest first, each with its id.

    Args:
        severity: at least; all where it is None, also what has none: plain text, as of a program that does not start.
    """
    least = f" AND severity>={severity}" if severity else ""
    wanted = f'{source}{least} AND timestamp>="{since.isoformat()}"'
    request = {
        "resource_names": [f"projects/{google.project}"],
        "filter": wanted,
        "order_by": "timestamp desc",
        "page_size": LIMIT,
    }
    entries = google.read_all("logging", "list_log_entries", request, limit=LIMIT)
    return [(f"{entry.log_name} {entry.insert_id}", _line(entry)) for entry in reversed(entries)]


def follow(
    read: Callable[[datetime], list[tuple[str, Line]]], since: datetime, pause: Callable[[float], None]
) -> Iterator[Line]:
    """New entries for ever."""
    seen: dict[str, datetime] = {}
    while True:
        for key, line in read(since):
            if key not in seen:
                seen[key] = line.at
                yield line
        if seen:
            since = max(since, max(seen.values()) - _LATENESS)
            seen = {key: at for key, at in seen.items() if at >= since}
        pause(FOLLOW_PAUSE_S)


def as_text(line: Line) -> str:
    fields = " ".join(f"{name}={value}" for name, value in line.fields.items())
    return f"{line.at:%F %T} {line.severity:8} {line.message} {fields}".rstrip()


def as_json(line: Line) -> str:
    told = {"at": line.at, "severity": line.severity, "message": line.message, "fields": line.fields}
    return dump(told)


def _line(entry: Any) -> Line:
    told = MessageToDict(type(entry).pb(entry))
    fields = told.get("jsonPayload", {})
    kind = told.get("protoPayload", {}).get("@type", "")  # of an audit log, for example
    message = fields.pop("message", "") or told.get("textPayload", "") or kind
    return Line(entry.timestamp, told.get("severity", "DEFAULT"), str(message), fields)
