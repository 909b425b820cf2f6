"""`pmpctl dead-letters` and `pmpctl replay`: the dlq-replayer's responses as tables and a progress bar."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pmpctl.calls import Request
from pmpctl.errors import CommandError
from pmpctl.http import answer
from pmpctl.session import Session
from pmpctl.terminal import cell, clock, narrow_table, progress

SERVICE: Final = "replayer"
# A replay sends a line about once a second; a longer silence means that it has died.
TIMEOUT_S: Final = 60.0


def letters_request(base_url: str, filters: Mapping[str, str]) -> Request:
    """Dead letters as the service lists them, newest first."""
    return Request(SERVICE, base_url, "GET", "/dead-letters", filters, timeout_s=TIMEOUT_S)


def replay_request(base_url: str, wanted: Mapping[str, Any]) -> Request:
    return Request(SERVICE, base_url, "POST", "/replay", body=wanted, timeout_s=TIMEOUT_S)


def replay(session: Session, request: Request) -> Iterator[dict[str, Any]]:
    """A replay's progress, a line about once a second; the last line is its report.

    Raises:
        CommandError: the service does not answer or refuses, or the replay ended with an error.
    """
    with session.stream(request, "application/x-ndjson") as response:
        if response.is_error:
            response.read()
            answer(response, SERVICE)
        for line in response.iter_lines():
            report = json.loads(line)
            if "error" in report:
                raise CommandError(f"the replay ended early: {report['error']['message']}")
            yield report


def show(lines: Iterator[dict[str, Any]], limit: int, *, quiet: bool) -> dict[str, Any]:
    """Draws the progress of a replay; returns its report."""
    line: dict[str, Any] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress(*columns, quiet=quiet) as shown:
        task = shown.add_task("Replaying", total=limit)
        for line in lines:
            shown.update(task, completed=line.get("replayed", 0))
    return line


def letters_table(letters: Sequence[Mapping[str, Any]]) -> Table:
    table = narrow_table()
    for name in ("dead-lettered", "reason", "topic"):
        table.add_column(name, no_wrap=True)
    for name in ("replays", "bytes"):
        table.add_column(name, justify="right")
    table.add_column("detail", overflow="fold")
    for letter in letters:
        table.add_row(
            clock(letter["dead_lettered_ts"]),
            cell(letter["reason"]),
            cell(letter["source_topic"] or "-"),
            str(letter["replay_count"] or 0),
            str(letter["data_bytes"]),
            cell(_detail(letter)),
        )
    return table


def _detail(letter: Mapping[str, Any]) -> str:
    """The detail, after the time of its replay: another column would not fit."""
    replayed_at = letter.get("replayed_ts")
    parts = (f"replayed {clock(replayed_at)}" if replayed_at else "", letter["detail"])
    return "; ".join(filter(None, parts))


def report_table(report: Mapping[str, Any]) -> Table:
    table = Table("", "letters", title=f"replay {report.get('replay_id', '')}", title_justify="left")
    for name in ("examined", "matched", "would_replay", "replayed", "kept", "refused", "came_back"):
        if name in report:
            table.add_row(name, str(report[name]))
    for group in ("by_reason", "refused_by"):
        for reason, count in sorted(report.get(group, {}).items()):
            table.add_row(cell(f"  {group.replace('_', ' ')}: {reason}"), str(count))
    if report.get("stopped"):
        table.add_row("stopped", cell(report["stopped"]))
    return table
