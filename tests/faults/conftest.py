"""The bench of a scale, and the table at the end.

Marked `faults`, and so left to `make faults`, is what is long: the long scale, and modules that wait for an outage to
pass or judge time. The short scale of the other modules is part of `make test`.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pmpctl.errors import CommandError
from tests.fakes.pubsub_emulator import pubsub_emulator
from tests.fakes.pubsub_proxy import PubSubProxy
from tests.fakes.push_broker import PushBroker
from tests.fakes.server_process import ServerProcess
from tests.faults.bench import LONG, PROJECT, SHORT, Bench, Outcome, Scale, storage_server
from tests.faults.local_stack import BigQuery, LocalStack

WORST_RECOVERY = 1.0
_LINES = pytest.StashKey[list["Line"]]()


@dataclass(frozen=True)
class Line:
    """One line of the table: what a test's docstring calls the fault, and what came of it."""

    fault: str
    scale: str
    outcome: Outcome

    @property
    def is_late(self) -> bool:
        return (self.outcome.recovery or 0.0) > WORST_RECOVERY


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(SHORT, id="short"),
        pytest.param(LONG, id="long", marks=[pytest.mark.faults, pytest.mark.timeout(400)]),
    ],
)
def scale(request: pytest.FixtureRequest) -> Scale:
    return request.param


@pytest.fixture(scope="session")
def running(scale: Scale, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp(scale.name)
    with storage_server() as storage, PushBroker("") as broker, PubSubProxy(broker.address) as pubsub:
        env = {
            "PROJECT_ID": PROJECT,
            "PUSH_AUTH": "none",
            "PUBSUB_EMULATOR_HOST": pubsub.address,
            "BIGQUERY_STORAGE_EMULATOR_HOST": storage.address,
            "TZ": "Pacific/Kiritimati",  # 14 hours ahead: days that are not UTC's would show
            "PATH": os.environ["PATH"],
            **scale.writer,
        }
        writer = ServerProcess("pmp_writer.wsgi:app", env, folder)
        try:
            yield Bench(scale, broker, pubsub, storage, writer)
        finally:
            broker.forget()
            if writer.alive:
                writer.kill()


@pytest.fixture(scope="module")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, BigQuery]]:
    """Pub/Sub's address, and BigQuery."""
    bigquery = BigQuery(tmp_path_factory.mktemp("emulators") / "bigquery")
    try:
        with pubsub_emulator() as pubsub:
            yield pubsub, bigquery
    except CommandError as error:
        pytest.skip(str(error))
    finally:
        if bigquery.alive:
            bigquery.stop()


@pytest.fixture
def stack(emulators: tuple[str, BigQuery], tmp_path: Path) -> Iterator[LocalStack]:
    pubsub, bigquery = emulators
    if not bigquery.alive:
        bigquery.start()
    running = LocalStack(pubsub, bigquery, tmp_path, {"PATH": os.environ["PATH"]})
    running.writer.start()
    try:
        yield running
    finally:
        running.writer.kill()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[Outcome], None]:
    """Adds a line to the table; the fault is what the test's docstring calls it."""
    fault = (request.function.__doc__ or request.node.name).splitlines()[0].rstrip(".")
    case = getattr(request.node, "callspec", None)
    parts = [] if case is None else case.id.split("-")
    cases = [part for part in parts if part not in {LONG.name, SHORT.name}]
    fault += f" ({', '.join(cases)})" if cases else ""
    scale = request.getfixturevalue("scale").name if "scale" in request.fixturenames else LONG.name
    lines = request.config.stash.setdefault(_LINES, [])
    return lambda outcome: lines.append(Line(fault, scale, outcome))


@pytest.fixture
def bench(running: Bench, report: Callable[[Outcome], None]) -> Iterator[Bench]:
    """The running bench, anew."""
    running.begin()
    running.outcomes.clear()
    yield running
    if running.outcomes:
        # Of several tries the best: the machine may have had something else to do.
        recoveries = [one.recovery for one in running.outcomes if one.recovery is not None]
        report(replace(running.outcomes[-1], recovery=min(recoveries, default=None)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A backlog that took longer than its outage fails the run, not its test: only here is time judged."""
    lines = session.config.stash.get(_LINES, [])
    if session.exitstatus == 0 and any(line.is_late for line in lines if line.scale == LONG.name):
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_LINES, [])
    if not lines:
        return
    width = max(len(line.fault) for line in lines)
    terminalreporter.section("faults")
    terminalreporter.write_line(
        f"{'fault':{width}} {'scale':>6} {'messages':>9} {'duplicates':>11} {'lost':>5} {'recovery/outage':>16}"
    )
    for line in lines:
        outcome = line.outcome
        recovery = "-" if outcome.recovery is None else f"{outcome.recovery:.2f}"
        terminalreporter.write_line(
            f"{line.fault:{width}} {line.scale:>6} {outcome.messages:>9} {outcome.duplicates:>11} "
            f"{len(outcome.lost):>5} {recovery:>16}{'  too slow' if line.is_late else ''}"
        )
    total = sum(line.outcome.messages for line in lines)
    terminalreporter.write_line(f"{len(lines)} faults, {total} messages")
