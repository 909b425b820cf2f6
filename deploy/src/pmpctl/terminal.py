"""Options, questions, progress, tables and JSON, for every command."""

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text

from pmp_schema.timestamps import format_timestamp
from pmpctl.errors import CommandError
from pmpctl.target import CLOUD_PANEL

PIPE_COLUMNS: Final = 200
_ANY_COLUMNS: Final = 100_000
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the calls that would be made; make none but reads.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Return at once.", rich_help_panel=CLOUD_PANEL)]


class Engine(StrEnum):
    """What computes features."""

    SQL = "sql"
    BEAM = "beam"


def confirm(question: str, *, yes: bool) -> None:
    """Asks a person, unless `--yes` was given.

    Raises:
        CommandError: standard input is not a terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Say so with --yes.")
    typer.confirm(question, abort=True, err=True)


def spinner(*, quiet: bool) -> Console:
    """Standard error, for progress: programs read standard output."""
    return Console(stderr=True, quiet=quiet)


def output() -> Console:
    """Standard output, for tables; wide in a pipe or a file."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, PIPE_COLUMNS))


def progress(*columns: ProgressColumn, quiet: bool) -> Progress:
    """A progress bar, only in a terminal; it disappears at its end."""
    console = spinner(quiet=quiet)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def cell(value: object) -> Text:
    """A value as a table shows it: no markup, and no control characters."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return Text(_CONTROL.sub(lambda found: repr(found[0])[1:-1], text))


def dump(value: Any) -> str:
    """JSON; times are RFC 3339, bytes base64, and NaN and infinities null."""
    return msgspec.json.encode(value, enc_hook=_plain).decode()


def dry_calls(calls: Sequence[object], *, as_json: bool) -> str:
    """What a dry run prints."""
    lines = [str(call) for call in calls]
    return dump({"dry_run": True, "calls": lines}) if as_json else "\n".join(lines or ["nothing to do"])


def plural(number: int, noun: str) -> str:
    """A number with its noun: `1 change`, `2,000 changes`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def fields(values: Mapping[str, Any]) -> str:
    """A line for each field that has a value."""
    return "\n".join(f"{name}: {value}" for name, value in values.items() if value is not None)


def narrow_table(title: str | None = None) -> Table:
    """An empty table without frames, so that many columns fit into 80 characters."""
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def clock(at: str) -> str:
    """An RFC 3339 time of a service's response, to the second, as tables show it."""
    return at[:19].replace("T", " ")


def show_rows(title: str, rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Shows one row or more: as a table if it fits, else as a line for each value, so that nothing is cut."""
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        number = any(isinstance(row[name], int | float) and not isinstance(row[name], bool) for row in rows)
        table.add_column(cell(name), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    wide = console.options.update(max_width=_ANY_COLUMNS)
    if Measurement.get(console, wide, table).maximum <= console.width:
        console.print(table)
        return
    names = max(len(name) for name in rows[0])
    if title:
        console.print(title, style="italic", highlight=False)
    for index, row in enumerate(rows):
        if index:
            console.print()
        for name, value in row.items():
            console.print(f"{name:>{names}}  ", _shown(value), sep="", soft_wrap=True, highlight=False)


def _shown(value: Any) -> Text | str:
    match value:
        case bool():
            return "[green]yes[/]" if value else "[red]no[/]"
        case datetime():
            return value.astimezone(UTC).strftime("%F %T")
        case Text():
            return value
        case list() | tuple():
            return cell(", ".join(map(str, value)) or "-")
        case _:
            return cell("-" if value is None or value == "" else value)


def _plain(value: Any) -> str:
    # Google's clients have a subclass of datetime, which msgspec does not encode.
    return format_timestamp(value) if isinstance(value, datetime) else str(value)
