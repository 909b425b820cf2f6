"""What `pmpctl up` runs on this machine."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from pmp_schema.topology import TOPOLOGY, Topology
from pmpctl.local.local_stack import LocalStack, project_root
from pmpctl.local.ports import require_answer
from pmpctl.local.processes import Ingestion, StackOptions, process_table
from pmpctl.local.pubsub_emulator import docker_answers, pubsub_command
from pmpctl.local.stack import StackPlan
from pmpctl.local.variables import child_environment, feeds_file, feeds_toml


def make_plan(options: StackOptions, stack: LocalStack) -> StackPlan:
    """Raises:
    CommandError: there is no Pub/Sub emulator.
    """
    if stack.pubsub is not None:
        require_answer(stack.pubsub)
        sys.stderr.write(f"using the Pub/Sub emulator at {stack.pubsub} (PUBSUB_EMULATOR_HOST)\n")
    state = stack.state.path
    specs = process_table(options, stack.ports, state=state, pubsub=_own_pubsub(options, stack))
    return StackPlan(
        specs=specs,
        env=child_environment(stack.env, stack.variables),
        cwd=project_root(Path.cwd()),
        files={feeds_file(state): feeds_toml(options.feed, stack.ports)},
        set_up=partial(_set_up, stack, topology_for(options.ingestion)),
        urls={spec.name: stack.ports.url(spec.name) for spec in specs if spec.ports},
    )


def _own_pubsub(options: StackOptions, stack: LocalStack) -> tuple[str, ...] | None:
    if stack.pubsub is not None or "pubsub" in options.without:
        return None
    return pubsub_command(
        stack.env,
        stack.ports.of("pubsub"),
        which=shutil.which,
        home=Path.home(),
        docker_answers=docker_answers,
    )


def topology_for(ingestion: Ingestion) -> Topology:
    """Leaves out the subscription whose consumer does not take the sensor events."""
    pull = TOPOLOGY.pull_subscription("sensor-events")
    unused = pull if ingestion is Ingestion.PUSH else TOPOLOGY.push_subscription("sensor-events")
    return replace(TOPOLOGY, subscriptions=tuple(s for s in TOPOLOGY.subscriptions if s != unused))


def _set_up(stack: LocalStack, topology: Topology, wait: Callable[[], None]) -> list[str]:
    # Imported while the emulators start: Google's clients take a second.
    from pmpctl.project import resources  # noqa: PLC0415

    wait()
    shared = stack.variables
    clients = resources.connect(
        shared["PROJECT_ID"],
        pubsub_emulator=shared["PUBSUB_EMULATOR_HOST"],
        bigquery_emulator=shared["BIGQUERY_EMULATOR_HOST"],
    )
    changes = resources.prepare_project(
        clients,
        topology,
        location=shared["REGION"],
        push_url=shared["WRITER_URL"],
        modes=frozenset({"always", "high-volume"}),
    )
    return [str(change) for change in changes]
