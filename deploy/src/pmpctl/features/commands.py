"""`pmpctl features run` and `status`; commands for many times are in `range_commands`."""

from typing import Annotated

import typer

from pmpctl.features import launcher, range_commands
from pmpctl.http import answer
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
    fields,
    output,
    show_rows,
    spinner,
)

features = typer.Typer(help="Feature runs.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the group to `pmpctl`."""
    range_commands.register(features)
    app.add_typer(features, name="features")


@features.command("run")
def run_features(
    context: typer.Context,
    as_of: Annotated[
        str | None, typer.Option(help="The end of the windows, RFC 3339; now if not given.")
    ] = None,
    known_at: Annotated[
        str | None, typer.Option(help="Ignore events that were ingested after this RFC 3339 time.")
    ] = None,
    engine: Annotated[Engine | None, typer.Option(help="The launcher's default if not given.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end; exit 1 if it failed.")] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Starts a feature run, or shows the existing one with the same as_of and engine."""
    session = open_session(context, target)
    wanted = engine.value if engine else None
    request = launcher.run_request(session, as_of=as_of, known_at=known_at, engine=wanted)
    if dry_run:
        typer.echo(dry_calls((request,), as_json=as_json))
        return
    if not session.local and (engine is Engine.BEAM or (engine is None and _is_beam_deployed(session))):
        confirm("This starts a Dataflow batch job, which costs some cents.", yes=yes)
    run: launcher.FeatureRun = answer(session.send(request), "launcher")
    if wait:
        with spinner(quiet=as_json).status("running") as progress:
            run = launcher.wait(session, run, progress.update)
    typer.echo(dump(run) if as_json else fields(run))
    raise typer.Exit(1 if run["status"] == "failed" else 0)


@features.command("status")
def features_status(
    context: typer.Context,
    run_id: Annotated[str | None, typer.Argument(help="A feature run; the newest ones if not given.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Shows one feature run as the launcher reports it, or lists the newest."""
    session = open_session(context, target)
    if run_id is not None:
        run = launcher.look(session, run_id)
        typer.echo(dump(run) if as_json else fields(run))
        return
    found = session.queries("pmpctl.features", 30.0).rows("feature_runs", limit=("INT64", limit))
    rows = [dict(row) for row in found]
    if as_json:
        typer.echo(dump({"runs": rows}))
    elif rows:
        show_rows("feature runs", rows, output())
    else:
        typer.echo("no feature runs yet")


def _is_beam_deployed(session: Session) -> bool:
    """Whether the launcher's default engine is Beam. Terraform sets the schedules' engine and that one together."""
    from pmpctl.cloud.schedules import read_schedules  # noqa: PLC0415 - Google's clients take a second to import

    return any(schedule.engine == "beam" for schedule in read_schedules(session.google))
