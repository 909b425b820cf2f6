"""The topology's Cloud Run services: readiness, revision, size, minimum instances."""

import string
from dataclasses import dataclass
from typing import Any, Final

from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud.clients import Google, short_name

_UNITS: Final[dict[str, int]] = {
    "": 1,
    **{prefix: 1000**power for power, prefix in enumerate("kMGT", 1)},
    **{f"{prefix}i": 1024**power for power, prefix in enumerate("KMGT", 1)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A Cloud Run service.

    Attributes:
        ready: whether its newest revision serves; if not, `detail` says why.
        min_instances: instances that run, and cost, without requests.
        cpus: vCPUs of one instance.
        memory_gib: memory of one instance.
    """

    id: str
    ready: bool
    revision: str
    url: str
    min_instances: int
    cpus: float
    memory_gib: float
    detail: str


def read_services(google: Google) -> tuple[Service, ...]:
    """The topology's services that are deployed, sorted by id."""
    known = {service.id for service in TOPOLOGY.services.values()}
    found = google.read_all("run.services", "list_services", {"parent": google.parent})
    services = (_service(service) for service in found if short_name(service.name) in known)
    return tuple(sorted(services, key=lambda service: service.id))


def _service(service: Any) -> Service:
    ready = service.terminal_condition.state.name == "CONDITION_SUCCEEDED"
    containers = service.template.containers
    limits = containers[0].resources.limits if containers else {}
    return Service(
        id=short_name(service.name),
        ready=ready,
        revision=short_name(service.latest_ready_revision),
        url=service.uri,
        min_instances=max(service.template.scaling.min_instance_count, service.scaling.min_instance_count),
        cpus=_cpus(limits.get("cpu", "1")),
        memory_gib=_gib(limits.get("memory", "512Mi")),
        detail="" if ready else service.terminal_condition.message,
    )


def _cpus(limit: str) -> float:
    return float(limit[:-1]) / 1000 if limit.endswith("m") else float(limit)


def _gib(limit: str) -> float:
    """A quantity of memory as Kubernetes spells it: `512Mi`, `1G`, plain bytes."""
    number = limit.rstrip(string.ascii_letters)
    return float(number) * _UNITS[limit[len(number) :]] / 1024**3
