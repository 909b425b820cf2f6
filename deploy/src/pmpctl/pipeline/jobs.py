"""`pmpctl jobs update`: replaces a streaming Dataflow job."""

from typing import Annotated, Final

import typer

from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from pmpctl.session import open_session
from pmpctl.target import Target, TargetOption
from pmpctl.terminal import DryRunOption, YesOption, confirm

jobs = typer.Typer(help="Dataflow jobs of the pipelines; in the cloud only.", no_args_is_help=True)

_REPLACEABLE: Final = frozenset({"RUNNING", "DRAINING"})  # as Beam has it


def register(app: typer.Typer) -> None:
    """Adds the group to `pmpctl`."""
    app.add_typer(jobs, name="jobs")


@jobs.command()
def update(
    context: typer.Context,
    pipeline: Annotated[str, typer.Argument(help="curate_status or ingest_events.")],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    target: TargetOption = Target.LOCAL,
) -> None:
    """Replaces a running or draining streaming job with one from the submitter job's image; it keeps its state."""
    if target is Target.LOCAL:
        raise CommandError("Dataflow jobs are in the cloud only: add --target cloud")
    session = open_session(context, target)
    from pmpctl.cloud import dataflow, submitters  # noqa: PLC0415 - Google's clients take a second to import
    from pmpctl.pipeline.state import STREAMING  # noqa: PLC0415

    job = dataflow.find_active(session.google, TOPOLOGY.jobs.get(pipeline, pipeline))
    known = {TOPOLOGY.jobs[x.pipeline]: x for x in submitters.read_submitters(session.google)}
    if job.name not in known or known[job.name].pipeline not in STREAMING:
        raise CommandError(f"{job.name} is not a streaming job with a submitter job")
    if job.state not in _REPLACEABLE:
        raise CommandError(f"{job.name} is {job.state}; only a running or draining job can be updated")
    if not dry_run:
        confirm(f"This replaces {job.name}.", yes=yes)
    session.carry_out((submitters.update(known[job.name]),), dry_run=dry_run)
