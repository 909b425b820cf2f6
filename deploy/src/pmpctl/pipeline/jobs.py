"""`pmpctl jobs`: the Dataflow jobs of the pipelines."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pmp_schema.topology import TOPOLOGY
from pmpctl.calls import Call
from pmpctl.errors import CommandError
from pmpctl.session import Session, open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import DryRunOption, JsonOption, YesOption, confirm, dump, output, show_rows

if TYPE_CHECKING:
    from pmpctl.cloud.dataflow import Job

jobs = typer.Typer(help="Dataflow jobs of the pipelines; in the cloud only.", no_args_is_help=True)

_REPLACEABLE: Final = frozenset({"RUNNING", "DRAINING"})  # as Beam has it

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A job's name or id, or its pipeline.")]


def register(app: typer.Typer) -> None:
    """Adds the group to `pmpctl`."""
    app.add_typer(jobs, name="jobs")


@jobs.command("list")
def list_jobs(
    context: typer.Context,
    ended: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Lists jobs, newest first."""
    session = _cloud(context, target)
    from pmpctl.pipeline import power  # noqa: PLC0415 - Google's clients take a second to import

    rows = [power.job_json(job) for job in _read(session, ended=ended)]
    if as_json:
        typer.echo(dump({"jobs": rows}))
    elif rows:
        show_rows("jobs", rows, output())
    else:
        typer.echo("no jobs" if ended else "no active jobs")


@jobs.command()
def describe(context: typer.Context, job: JobArgument, target: TargetOption = Target.LOCAL) -> None:
    """Prints all that Dataflow says of a job, as JSON."""
    session = _cloud(context, target)
    from pmpctl.cloud import dataflow  # noqa: PLC0415 - Google's clients take a second to import

    told = dataflow.read_job(session.google, _find(session, job, ended=True).id)
    typer.echo(
        type(told).to_json(told, use_integers_for_enums=False, always_print_fields_with_no_presence=False)
    )


@jobs.command()
def drain(
    context: typer.Context,
    job: JobArgument,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Ends a streaming job after it has written what it has taken."""
    session = _cloud(context, target)
    found = _find(session, job)
    if not found.streaming:
        raise CommandError(f"{found.name} is a batch job, which cannot be drained: wait, or cancel it")
    _stop(session, found, cancel=False, yes=yes, dry_run=dry_run)


@jobs.command()
def cancel(
    context: typer.Context,
    job: JobArgument,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Ends a job at once; it loses what it has acknowledged and not written."""
    session = _cloud(context, target)
    _stop(session, _find(session, job), cancel=True, yes=yes, dry_run=dry_run)


@jobs.command()
def update(
    context: typer.Context,
    pipeline: Annotated[str, typer.Argument(help="curate_status or ingest_events, or the job's name.")],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Replaces a running or draining streaming job by one of the launcher's image; it keeps its state."""
    session = _cloud(context, target)
    from pmpctl.cloud import launchers  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.pipeline.state import STREAMING  # noqa: PLC0415

    found = _find(session, pipeline)
    known = {TOPOLOGY.jobs[x.pipeline]: x for x in launchers.read_launchers(session.google)}
    if found.name not in known or known[found.name].pipeline not in STREAMING:
        raise CommandError(f"{found.name} is no streaming job with a launcher")
    if found.state not in _REPLACEABLE:
        raise CommandError(f"{found.name} is {found.state}; only a running or draining job can be updated")
    _ask_and_perform(
        session,
        (launchers.update(known[found.name]),),
        f"This replaces {found.name}.",
        yes=yes,
        dry_run=dry_run,
    )


def _stop(session: Session, job: "Job", *, cancel: bool, yes: bool, dry_run: bool) -> None:
    from pmpctl.cloud import dataflow  # noqa: PLC0415 - Google's clients take a second to import

    calls = dataflow.stop(session.google, (job,), cancel=cancel)
    if not calls:
        typer.echo(f"{job.name} is {job.state} already")
        return
    _ask_and_perform(session, calls, f"This ends {job.name} ({job.id}).", yes=yes, dry_run=dry_run)


def _ask_and_perform(
    session: Session, calls: tuple[Call, ...], question: str, *, yes: bool, dry_run: bool
) -> None:
    if not dry_run:
        confirm(question, yes=yes)
    session.carry_out(calls, dry_run=dry_run)


def _read(session: Session, *, ended: bool) -> Any:
    from pmpctl.cloud import dataflow  # noqa: PLC0415 - Google's clients take a second to import

    return dataflow.read_jobs(session.google, set(TOPOLOGY.jobs.values()), ended=ended)


def _find(session: Session, wanted: str, *, ended: bool = False) -> "Job":
    from pmpctl.cloud import dataflow  # noqa: PLC0415 - Google's clients take a second to import

    jobs = TOPOLOGY.jobs
    return dataflow.find(_read(session, ended=ended), jobs.get(wanted, wanted), set(jobs.values()))


def _cloud(context: typer.Context, target: Target) -> Session:
    if target is Target.LOCAL:
        raise CommandError("Dataflow jobs are in the cloud only: add --target cloud")
    return open_session(context, target)
