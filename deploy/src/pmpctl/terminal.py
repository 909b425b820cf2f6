"""What every command shares at the terminal: options, questions, progress, tables and JSON."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pmpctl.errors import CommandError

JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print every call that would be made, and make none but reads.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Return at once.")]


class Engine(StrEnum):
    """What computes features."""

    SQL = "sql"
    BEAM = "beam"


def confirm(question: str, *, yes: bool) -> None:
    """Asks a person, unless `--yes` was given.

    Raises:
        CommandError: nobody is there to be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Say so with --yes.")
    typer.confirm(question, abort=True, err=True)


def spinner(*, quiet: bool) -> Console:
    """Where progress is drawn: standard error, so that output can be read by programs."""
    return Console(stderr=True, quiet=quiet)


def dump(told: Any) -> str:
    """JSON for programs; times are RFC 3339."""
    return json.dumps(told, default=_plain)


def dry_calls(calls: Sequence[object], *, as_json: bool) -> str:
    """What a dry run prints of the calls that it does not make."""
    lines = [str(call) for call in calls]
    return dump({"dry_run": True, "calls": lines}) if as_json else "\n".join(lines or ["nothing to do"])


def fields(told: Mapping[str, Any]) -> str:
    """One thing for a person: a line for each field that has a value."""
    return "\n".join(f"{name}: {value}" for name, value in told.items() if value is not None)


def rows_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Any rows as a table; a column is as wide as its longest word."""
    table = Table(title=title, title_justify="left")
    for name, value in rows[0].items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        table.add_column(name.replace("_", " "), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    return table


def _text(value: Any) -> str:
    match value:
        case bool():
            text = "[green]yes[/]" if value else "[red]no[/]"
        case datetime():
            text = value.astimezone(UTC).strftime("%F %T")
        case list() | tuple():
            text = escape(", ".join(map(str, value)))
        case _:
            text = "" if value is None else escape(str(value))
    return text or "-"


def _plain(value: Any) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)
