"""Commands that start, end and watch the pipeline: up, down, status, logs."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pmp_schema.topology import TOPOLOGY
from pmpctl.ages import begin
from pmpctl.calls import Call, Command, Step
from pmpctl.errors import CommandError
from pmpctl.session import Session, open_session
from pmpctl.target import Target, TargetOption, local_stack
from pmpctl.terminal import (
    DryRunOption,
    Engine,
    JsonOption,
    NoWaitOption,
    YesOption,
    confirm,
    dump,
    output,
    spinner,
)

if TYPE_CHECKING:
    from pmpctl.pipeline.state import State


# What the cloud calls by another name than the process of the local stack.
LOCAL_PROCESSES: Final = {
    "curate_status": "curation",
    TOPOLOGY.jobs["curate_status"]: "curation",
    **{service.id: key for key, service in TOPOLOGY.services.items()},
}


class Severity(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


def register(app: typer.Typer) -> None:
    """Adds the commands to `pmpctl`."""
    for command in (up, down, status, logs):
        app.command()(command)


def up(
    context: typer.Context,
    engine: Annotated[
        Engine | None,
        typer.Option(help="Whose feature schedule runs; not needed where only one is deployed."),
    ] = None,
    no_wait: NoWaitOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Starts what is not running: streaming jobs and schedules in the cloud, the stack on this machine."""
    session = open_session(context, target)
    if not session.local:
        wanted = engine.value if engine else None
        _start_project(session, wanted, wait=not no_wait, yes=yes, dry_run=dry_run, as_json=as_json)
    elif engine:
        raise CommandError("--engine is for --target cloud")
    else:
        _start_stack(session, dry_run=dry_run, as_json=as_json)


def down(
    context: typer.Context,
    cancel: Annotated[
        bool,
        typer.Option(
            "--cancel", help="End jobs at once; they lose what they have acknowledged and not written."
        ),
    ] = False,
    no_wait: NoWaitOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Ends what costs: pauses schedules, drains Dataflow jobs, waits for them; exits 1 where something is left."""
    session = open_session(context, target)
    if session.local:
        _local(session, Command(("down",)), dry_run=dry_run, as_json=as_json)
        return
    from pmpctl.pipeline import power  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.pipeline.state import read_state  # noqa: PLC0415

    state = read_state(session.google)
    steps = power.end(session.google, state, cancel=cancel)
    if steps and not dry_run:
        confirm(f"This stops the pipeline of {session.google.project} ({len(steps)} calls).", yes=yes)
        # While a person thought it over, what was to be cancelled may have begun, and can be drained.
        state = read_state(session.google)
        steps = power.end(session.google, state, cancel=cancel)
    # A schedule that cannot be paused is no reason to let a job go on costing.
    session.carry_out(steps, dry_run=dry_run, quiet=as_json, go_on=True)
    if not dry_run:
        if no_wait:
            state = read_state(session.google)
        else:
            with spinner(quiet=as_json).status("stopping") as progress:
                state = power.wait_until_idle(
                    lambda: read_state(session.google), progress.update, session.pause
                )
    _report(steps, state, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(1 if state.working and not (dry_run or no_wait) else 0)


def status(context: typer.Context, as_json: JsonOption = False, target: TargetOption = Target.LOCAL) -> None:
    """Shows what runs, how far behind it is, and the newest rows of two days; exits 1 where something is wrong."""
    session = open_session(context, target)
    from pmp_runtime.bigquery.queries import Queries  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.pipeline import status as sections  # noqa: PLC0415

    def queries() -> Queries:
        return Queries(session.bigquery, "pmpctl.pipeline", timeout_s=sections.QUERY_TIMEOUT_S)

    now = datetime.now(UTC)
    found = (
        sections.local_sections(local_stack().state, queries, now)
        if session.local
        else sections.cloud_sections(session.google, queries, now)
    )
    told = sections.as_json(session.target, found)
    if as_json:
        typer.echo(dump(told))
    else:
        sections.show(found, output())
    raise typer.Exit(0 if told["ok"] else 1)


def logs(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A service (collector) or a pipeline (curate_status).")],
    since: Annotated[
        str | None, typer.Option(help="In the cloud: an age (90m, 24h, 7d) or an RFC 3339 time; 1h.")
    ] = None,
    severity: Annotated[
        Severity | None, typer.Option(help="In the cloud: at least. Plain text of a program has none.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Prints log lines, in the cloud the newest 1,000 of them; locally the whole log of a process."""
    session = open_session(context, target)
    if session.local:
        if since or severity or as_json:
            raise CommandError("--since, --severity and --json are for --target cloud")
        process = LOCAL_PROCESSES.get(name, name)
        raise typer.Exit(session.perform(Command(("logs", process, *(["--follow"] if follow else [])))))
    from pmpctl.cloud import logs as cloud_logs  # noqa: PLC0415 - Google's clients take a second to import

    source = cloud_logs.source_filter(name)

    def read(at: datetime) -> list[tuple[str, cloud_logs.Line]]:
        return cloud_logs.read_lines(session.google, source, since=at, severity=severity and severity.value)

    start = begin(since or "1h", datetime.now(UTC))
    lines = cloud_logs.follow(read, start, session.pause) if follow else (line for _, line in read(start))
    try:
        for line in lines:
            typer.echo(cloud_logs.as_json(line) if as_json else cloud_logs.as_text(line))
    except KeyboardInterrupt:
        return


def _start_stack(session: Session, *, dry_run: bool, as_json: bool) -> None:
    record = local_stack().state.running()
    if record is None or record.status != "ready" or dry_run:
        _local(session, Command(("up", "--detach")), dry_run=dry_run, as_json=as_json)
    elif as_json:
        typer.echo(dump({"dry_run": False, "calls": [], "urls": dict(record.urls)}))
    else:
        typer.echo("nothing to do")


def _start_project(
    session: Session, engine: str | None, *, wait: bool, yes: bool, dry_run: bool, as_json: bool
) -> None:
    from pmpctl.pipeline import power  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.pipeline.state import read_state  # noqa: PLC0415

    before = state = read_state(session.google)
    steps = power.start(before, engine)
    costs = _costs(before, steps)
    if costs and not dry_run:
        confirm(f"This starts {', and '.join(costs)}.", yes=yes)
    session.carry_out(steps, dry_run=dry_run, quiet=as_json)
    if wait and not dry_run and any(power.starts_job(call) for call in steps):
        with spinner(quiet=as_json).status("starting") as progress:
            state = power.wait_until_started(session.google, before, progress.update, session.pause)
    elif not dry_run:
        state = read_state(session.google)
    _report(steps, state, dry_run=dry_run, as_json=as_json)


def _costs(before: "State", steps: Sequence[Call]) -> list[str]:
    """What the calls start that costs, in words."""
    from pmpctl.cost.prices import load_prices  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.pipeline import power  # noqa: PLC0415

    starts = sum(map(power.starts_job, steps))
    month_usd = load_prices().streaming_job_month_usd
    costs = [f"{starts} streaming job: about {month_usd:.0f} USD a month each"] if starts else []
    return costs + (["a Dataflow batch job at each feature run"] if power.resumes_beam(before, steps) else [])


def _local(session: Session, step: Step, *, dry_run: bool, as_json: bool) -> None:
    if dry_run and not as_json:
        typer.echo(str(step))
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        code = 0 if dry_run else session.perform(step)
    if as_json:
        typer.echo(dump({"dry_run": dry_run, "calls": [str(step)]}))
    raise typer.Exit(code)


def _report(steps: Sequence[Step], state: "State", *, dry_run: bool, as_json: bool) -> None:
    from pmpctl.pipeline import power  # noqa: PLC0415

    if as_json:
        calls = [str(step) for step in steps]
        typer.echo(dump({"dry_run": dry_run, "calls": calls, **power.as_json(state)}))
        return
    if not steps:
        typer.echo("nothing to do")
    if not dry_run:
        idle = "nothing works; tables, files and undelivered messages are kept"
        for line in (*(state.working or (idle,)), *state.kept, *state.broken):
            typer.echo(line)
