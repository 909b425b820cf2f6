"""The state of a project: schedules, Dataflow jobs, submitter jobs, services."""

from functools import cached_property
from typing import Final

from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud import dataflow, schedules, services, submitters
from pmpctl.cloud.clients import Google
from pmpctl.cloud.dataflow import Job
from pmpctl.cloud.schedules import Schedule
from pmpctl.cloud.services import Service
from pmpctl.cloud.submitters import Submitter
from pmpctl.terminal import plural

STREAMING: Final = ("curate_status", "ingest_events")


class State:
    """What Google lists of the topology in a project. Each list is read once, when it is first needed.

    Raises:
        CommandError: from each property: Google cannot be read.
    """

    def __init__(self, google: Google) -> None:
        self._google = google

    @cached_property
    def schedules(self) -> tuple[Schedule, ...]:
        return schedules.read_schedules(self._google)

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """Active Dataflow jobs."""
        return dataflow.read_jobs(self._google)

    @cached_property
    def submitters(self) -> tuple[Submitter, ...]:
        return submitters.read_submitters(self._google)

    @cached_property
    def services(self) -> tuple[Service, ...]:
        return services.read_services(self._google)

    @property
    def working(self) -> tuple[str, ...]:
        """What runs, or will start by itself, in words."""
        return (
            *(f"schedule {s.id} is {s.state}" for s in self.schedules if s.state == "ENABLED"),
            *(f"submitter job of {x.pipeline} is {x.outcome}" for x in self.submitters if x.running),
            *(f"job {j.name} ({j.id}) is {j.state}" for j in self.jobs),
        )

    @property
    def idle(self) -> tuple[str, ...]:
        """Deployed streaming jobs that do not run, each with its state."""
        states = {job.name: job.state for job in self.jobs}
        names = [TOPOLOGY.jobs[x.pipeline] for x in self.submitters if x.pipeline in STREAMING]
        return tuple(
            f"{name} ({states.get(name, 'not submitted')})" for name in names if states.get(name) != "RUNNING"
        )

    @property
    def kept(self) -> tuple[str, ...]:
        """What costs although it is idle, and only Terraform changes."""
        return tuple(
            f"service {s.id} keeps {plural(s.min_instances, 'instance')}: set `sizes` in terraform.tfvars"
            for s in self.services
            if s.min_instances
        )

    @property
    def broken(self) -> tuple[str, ...]:
        """What cannot work, and only Terraform repairs."""
        return tuple(
            f"schedule {s.id} is {s.state}: delete it and run `terraform apply`"
            for s in self.schedules
            if s.state not in {"ENABLED", "PAUSED"}
        )
