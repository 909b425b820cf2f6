"""Commands that start, stop and watch the pipeline: up, down, status."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pmpctl.calls import Call
from pmpctl.local import commands as local
from pmpctl.local.processes import Ingestion, StackOptions
from pmpctl.local.variables import SIMULATED
from pmpctl.session import Session, open_session
from pmpctl.target import CLOUD_PANEL, LOCAL_PANEL, Target, TargetOption, local_stack
from pmpctl.terminal import (
    DryRunOption,
    Engine,
    JsonOption,
    NoWaitOption,
    YesOption,
    confirm,
    dump,
    output,
    plural,
    spinner,
)

if TYPE_CHECKING:
    from pmpctl.pipeline.state import State

_LOCAL: Final[Any] = {"rich_help_panel": LOCAL_PANEL}
_CLOUD: Final[Any] = {"rich_help_panel": CLOUD_PANEL}


def up(
    context: typer.Context,
    feed: Annotated[
        str,
        typer.Option(help="simulated, live (Vélib itself), or the path of captured feeds.", **_LOCAL),
    ] = SIMULATED,
    speed: Annotated[float, typer.Option(min=0.01, help="Feed seconds per real second.", **_LOCAL)] = 1.0,
    hours_ago: Annotated[
        float, typer.Option(min=0, help="Hours before now at which the simulated city begins.", **_LOCAL)
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the simulated city.", **_LOCAL)] = 1,
    ingestion: Annotated[
        Ingestion,
        typer.Option(help="How sensor events reach BigQuery: by the writer, or by Beam.", **_LOCAL),
    ] = Ingestion.PUSH,
    without: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A process to leave out; repeatable.", **_LOCAL)
    ] = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep no tables on disk.", **_LOCAL)] = False,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", "-d", help="Run in the background; return once ready. --json implies it.", **_LOCAL
        ),
    ] = False,
    engine: Annotated[
        Engine | None,
        typer.Option(help="The feature schedule to run; needed only if both are deployed.", **_CLOUD),
    ] = None,
    no_wait: NoWaitOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Runs the local stack until Ctrl-C; in the cloud, starts streaming jobs and resumes schedules."""
    session = open_session(context, target)
    if not session.local:
        _start_project(session, engine, wait=not no_wait, yes=yes, dry_run=dry_run, as_json=as_json)
        return
    options = StackOptions(
        feed=feed,
        speed=speed,
        hours_ago=hours_ago,
        seed=seed,
        ephemeral=ephemeral,
        without=frozenset(without or ()),
        ingestion=ingestion,
    )
    local.up(options, detach=detach, dry_run=dry_run, as_json=as_json)


def down(
    context: typer.Context,
    cancel: Annotated[
        bool,
        typer.Option(
            "--cancel", help="End jobs at once; they lose what they acknowledged and did not write.", **_CLOUD
        ),
    ] = False,
    no_wait: NoWaitOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Stops the local stack; in the cloud, pauses schedules and drains Dataflow jobs.

    Waits until everything has stopped; exits 1 if something still runs.
    """
    session = open_session(context, target)
    if session.local:
        local.down(dry_run=dry_run, as_json=as_json)
        return
    from pmpctl.pipeline import power  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.pipeline.state import State  # noqa: PLC0415

    state = State(session.google)
    steps = power.end(session.google, state, cancel=cancel)
    if steps and not dry_run:
        confirm(
            f"This stops the pipeline of {session.google.project} ({plural(len(steps), 'call')}).", yes=yes
        )
        # A job that was to be cancelled may have started since, and can be drained now.
        state = State(session.google)
        steps = power.end(session.google, state, cancel=cancel)
    # Jobs are stopped even if a schedule cannot be paused: they cost.
    session.carry_out(steps, dry_run=dry_run, quiet=as_json, go_on=True)
    if not dry_run:
        if no_wait:
            state = State(session.google)
        else:
            with spinner(quiet=as_json).status("stopping") as progress:
                state = power.wait_until_idle(session.google, progress.update, session.pause)
    _report(steps, state, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(1 if state.working and not (dry_run or no_wait) else 0)


def status(context: typer.Context, as_json: JsonOption = False, target: TargetOption = Target.LOCAL) -> None:
    """Shows what runs, how far behind it is, and the newest rows of two days; exits 1 if there is a problem."""
    session = open_session(context, target)
    from pmpctl.pipeline import status as sections  # noqa: PLC0415 - Google's clients take a second to import

    queries = partial(session.queries, "pmpctl.pipeline", sections.QUERY_TIMEOUT_S)
    now = datetime.now(UTC)
    found = (
        sections.local_sections(local_stack().state, queries, now)
        if session.local
        else sections.cloud_sections(session.google, queries, now)
    )
    document = sections.as_json(session.target, found)
    if as_json:
        typer.echo(dump(document))
    else:
        sections.show(found, output())
    raise typer.Exit(0 if document["ok"] else 1)


def _start_project(
    session: Session, engine: Engine | None, *, wait: bool, yes: bool, dry_run: bool, as_json: bool
) -> None:
    from pmpctl.pipeline import power  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.pipeline.state import State  # noqa: PLC0415

    before = state = State(session.google)
    steps = power.start(before, engine.value if engine else None)
    costs = _costs(before, steps)
    if costs and not dry_run:
        confirm(f"This starts {', and '.join(costs)}.", yes=yes)
    session.carry_out(steps, dry_run=dry_run, quiet=as_json)
    if wait and not dry_run and any(power.starts_job(call) for call in steps):
        with spinner(quiet=as_json).status("starting") as progress:
            state = power.wait_until_started(session.google, before, progress.update, session.pause)
    elif not dry_run:
        state = State(session.google)
    _report(steps, state, dry_run=dry_run, as_json=as_json)


def _costs(before: "State", steps: Sequence[Call]) -> list[str]:
    """What the calls start that costs money, in words."""
    from pmpctl.cost.prices import load_prices  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.pipeline import power  # noqa: PLC0415

    starts = sum(map(power.starts_job, steps))
    month_usd = load_prices().streaming_job_month_usd
    costs = [f"{plural(starts, 'streaming job')}: about {month_usd:.0f} USD a month each"] if starts else []
    return costs + (["a Dataflow batch job at each feature run"] if power.resumes_beam(before, steps) else [])


def _report(steps: Sequence[Call], state: "State", *, dry_run: bool, as_json: bool) -> None:
    from pmpctl.pipeline import power  # noqa: PLC0415

    if as_json:
        calls = [str(step) for step in steps]
        typer.echo(dump({"dry_run": dry_run, "calls": calls, **power.as_json(state)}))
        return
    if not steps:
        typer.echo("nothing to do")
    if not dry_run:
        idle = "nothing runs; tables, files and undelivered messages are kept"
        for line in (*(state.working or (idle,)), *state.kept, *state.broken):
            typer.echo(line)
