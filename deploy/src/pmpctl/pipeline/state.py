"""What there is in a project: schedules, Dataflow jobs, their launchers, services."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud import dataflow, launchers, schedules, services
from pmpctl.cloud.clients import Google
from pmpctl.cloud.dataflow import Job
from pmpctl.cloud.launchers import Launcher
from pmpctl.cloud.schedules import Schedule
from pmpctl.cloud.services import Service

STREAMING: Final = ("curate_status", "ingest_events")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What there is in a project, as the calls need it.

    Attributes:
        schedules: those of the topology.
        jobs: active Dataflow jobs of the topology's pipelines.
        launchers: Cloud Run jobs that submit them.
        services: of Cloud Run.
    """

    schedules: tuple[Schedule, ...]
    jobs: tuple[Job, ...]
    launchers: tuple[Launcher, ...]
    services: tuple[Service, ...] = ()

    @property
    def working(self) -> tuple[str, ...]:
        """What runs, or will by itself, in words; empty where nothing does."""
        return (
            *(f"schedule {s.id} is {s.state}" for s in self.schedules if s.state == "ENABLED"),
            *(f"launcher of {x.pipeline} is {x.outcome}" for x in self.launchers if x.running),
            *(f"job {j.name} ({j.id}) is {j.state}" for j in self.jobs),
        )

    @property
    def idle(self) -> tuple[str, ...]:
        """Streaming jobs that have a launcher and do not run, with what they do instead."""
        states = {job.name: job.state for job in self.jobs}
        names = [TOPOLOGY.jobs[x.pipeline] for x in self.launchers if x.pipeline in STREAMING]
        return tuple(
            f"{name} ({states.get(name, 'not submitted')})" for name in names if states.get(name) != "RUNNING"
        )

    @property
    def kept(self) -> tuple[str, ...]:
        """What costs without working, and is not ended by calls of ours."""
        return tuple(
            f"service {s.id} keeps {s.min_instances} instances: set `sizes` in terraform.tfvars"
            for s in self.services
            if s.min_instances
        )

    @property
    def broken(self) -> tuple[str, ...]:
        """What cannot work, and is not mended by calls of ours."""
        return tuple(
            f"schedule {s.id} is {s.state}: delete it and run `terraform apply`"
            for s in self.schedules
            if s.state not in {"ENABLED", "PAUSED"}
        )


class ProjectLists:
    """What Google lists of a project; each list is read once, when it is first asked for, and is then the same for all.

    Raises:
        CommandError: from each property, where Google does not tell it.
    """

    def __init__(self, google: Google) -> None:
        self._google = google

    @cached_property
    def schedules(self) -> tuple[Schedule, ...]:
        return schedules.read_schedules(self._google, {s.id for s in TOPOLOGY.schedules})

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        return dataflow.read_jobs(self._google, set(TOPOLOGY.jobs.values()))

    @cached_property
    def launchers(self) -> tuple[Launcher, ...]:
        return launchers.read_launchers(self._google)

    @cached_property
    def services(self) -> tuple[Service, ...]:
        return services.read_services(self._google, {s.id for s in TOPOLOGY.services.values()})

    def state(self) -> State:
        return State(
            schedules=self.schedules, jobs=self.jobs, launchers=self.launchers, services=self.services
        )


def read_state(google: Google) -> State:
    return ProjectLists(google).state()
