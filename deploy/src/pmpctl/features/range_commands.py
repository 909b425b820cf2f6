"""Commands for many times: `features backfill`, `features export`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pmp_schema.timestamps import format_timestamp
from pmpctl.errors import CommandError
from pmpctl.features import backfill as filling
from pmpctl.features import export as training_set
from pmpctl.features.files import Format, destination
from pmpctl.features.times import KnownAt, check_settled, parse_time, time_range
from pmpctl.session import Session, open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import (
    DryRunOption,
    Engine,
    JsonOption,
    YesOption,
    confirm,
    dry_calls,
    dump,
    output,
    plural,
    progress,
    spinner,
)

INTERRUPTED: Final = 130
_LIST_TIMEOUT_S: Final = 60.0
_EXPORT_TIMEOUT_S: Final = 600.0

KnownAtOption = Annotated[
    str | None, typer.Option(help="Ignore events that were ingested after this RFC 3339 time.")
]
DelayOption = Annotated[
    str | None,
    typer.Option(help="Ignore events that were ingested later than 5m, 2h ... after each as_of."),
]


def register(features: typer.Typer) -> None:
    """Adds the commands to `pmpctl features`."""
    features.command("backfill")(backfill)
    features.command("export")(export)


def backfill(
    context: typer.Context,
    first: Annotated[str, typer.Option("--from", help="The first as_of; RFC 3339.")],
    last: Annotated[str, typer.Option("--to", help="The last as_of; RFC 3339.")],
    every: Annotated[str, typer.Option(help="The step from one as_of to the next: 30m, 1h, 1d ...")],
    engine: Annotated[Engine | None, typer.Option(help="The launcher's default if not given.")] = None,
    known_at: KnownAtOption = None,
    known_at_delay: DelayOption = None,
    at_once: Annotated[int, typer.Option(min=1, max=20, help="The most active feature runs.")] = 4,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Requests one feature run for every time of a range, in order; times that have rows are skipped.

    Without --known-at and --known-at-delay a run knows everything that is known today. After Ctrl-C the same command
    continues. Exits 1 if a run failed three times.
    """
    times = time_range(first, last, every)
    bound = KnownAt.parse(known_at, known_at_delay)
    check_settled(times, bound, datetime.now(UTC))
    session = open_session(context, target)
    wanted = engine.value if engine else None
    there = _filled(session, times, wanted)
    report = filling.Report(times=len(times), there=len(there), known_at=bound)
    for as_of, known in there.items():
        report.compare(as_of, known)
    todo = [as_of for as_of in times if as_of not in there]
    launcher = filling.Launcher(session, wanted, bound)
    if dry_run:
        typer.echo(dry_calls([launcher.request(as_of) for as_of in todo], as_json=as_json))
        return
    if todo and not session.local:
        confirm(f"This starts {plural(len(todo), 'feature run')}.", yes=yes)
    code = _fill(report, todo, launcher, session, at_once=at_once, quiet=as_json)
    if as_json:
        typer.echo(dump(report.as_json()))
    else:
        typer.echo(str(report))
        if report.failed or report.later:
            output().print(report.problems())
    raise typer.Exit(code)


def _fill(
    report: filling.Report,
    todo: Sequence[datetime],
    launcher: filling.Launcher,
    session: Session,
    *,
    at_once: int,
    quiet: bool,
) -> int:
    """Carries out the feature runs and adds them to the report; returns the exit code."""
    with _bar(quiet=quiet) as bar:
        task = bar.add_task("", total=report.times, completed=report.there)
        try:
            for as_of, run in filling.fill(todo, launcher, at_once=at_once, pause=session.pause):
                report.add(as_of, run)
                bar.update(task, advance=1, description=format_timestamp(as_of))
        except KeyboardInterrupt:
            return INTERRUPTED
        except CommandError as error:
            spinner(quiet=False).print(f"pmpctl: {error}", markup=False, soft_wrap=True)
            return 1
    return 0 if report.is_complete else 1


def export(
    context: typer.Context,
    output: Annotated[Path, typer.Option(help="A file, which is replaced, or a folder.")],
    as_of: Annotated[list[str] | None, typer.Option(help="An as_of, RFC 3339; repeatable.")] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="Or the first as_of of a range, RFC 3339.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last as_of of the range.")] = None,
    every: Annotated[str | None, typer.Option(help="The range's step: 30m, 1h, 1d ...")] = None,
    kind: Annotated[Format, typer.Option("--format")] = Format.PARQUET,
    known_at: KnownAtOption = None,
    known_at_delay: DelayOption = None,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Writes a training set: one row per station and as_of, one column per feature, and the run's known_at.

    Exports all times or none: a time without rows stops it, and so do rows that may know more than --known-at or
    --known-at-delay allow.
    """
    times = _times(as_of, first, last, every)
    bound = KnownAt.parse(known_at, known_at_delay)
    session = open_session(context, target)
    path = destination(output, kind)
    with _bar(quiet=as_json) as bar:
        task = bar.add_task("", total=len(times))
        rows = training_set.export(
            times,
            read_filled=lambda: _filled(session, times, None),
            read_rows=lambda day, times: session.queries("pmpctl.features", _EXPORT_TIMEOUT_S).rows(
                "training_rows",
                page_rows=training_set.PAGE_ROWS,
                event_date=("DATE", day),
                times=("TIMESTAMP", list(times)),
            ),
            known_at=bound,
            kind=kind,
            path=path,
            show=lambda done, rows: bar.update(task, completed=done, description=f"{rows:,} rows"),
        )
    size = path.stat().st_size
    if as_json:
        typer.echo(dump({"file": str(path), "rows": rows, "times": len(times), "bytes": size}))
    else:
        typer.echo(f"{path}: {plural(rows, 'row')} of {plural(len(times), 'time')}, {size:,} bytes")


def _times(
    as_of: Sequence[str] | None, first: str | None, last: str | None, every: str | None
) -> tuple[datetime, ...]:
    if as_of and not (first or last or every):
        return tuple(sorted({parse_time("--as-of", text) for text in as_of}))
    if first and last and every and not as_of:
        return time_range(first, last, every)
    raise CommandError("no times: give --as-of, once or more, or --from, --to and --every")


def _filled(session: Session, times: Sequence[datetime], engine: str | None) -> dict[datetime, datetime]:
    from pmpctl.features.runs import read_filled  # noqa: PLC0415 - Google's client takes a second to import

    return read_filled(session.queries("pmpctl.features", _LIST_TIMEOUT_S), times, engine)


def _bar(*, quiet: bool) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    return progress(*columns, quiet=quiet)
