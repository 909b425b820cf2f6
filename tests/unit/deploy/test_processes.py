import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from pmp_schema.topology import TOPOLOGY
from pmpctl import cli
from pmpctl.errors import CommandError
from pmpctl.local.plan import topology_for
from pmpctl.local.ports import Ports
from pmpctl.local.processes import NAMES, Ingestion, StackOptions, process_table
from pmpctl.terminal import Engine

SIMULATED = StackOptions(feed="simulated", speed=2.5, hours_ago=6, seed=7)


def table(base=8080, pubsub=("java", "-jar", "e.jar"), **options):
    specs = process_table(replace(SIMULATED, **options), Ports(base), state=Path("/s"), pubsub=pubsub)
    return {spec.name: spec for spec in specs}


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"ingestion": Ingestion.PULL}, set()),
        ({}, {"ingestion"}),
        ({"feed": "live"}, {"ingestion", "feed"}),
        ({"pubsub": None}, {"ingestion", "pubsub"}),  # one runs already
        ({"without": frozenset({"scheduler", "feed"})}, {"ingestion", "scheduler", "feed"}),
    ],
)
def test_what_a_stack_consists_of_in_order(options, missing):
    assert tuple(table(**options)) == tuple(name for name in NAMES if name not in missing)


def test_unknown_process_to_leave_out_is_refused():
    with pytest.raises(CommandError, match="--without nobody: choose from pubsub"):
        table(without=frozenset({"nobody"}))


def test_services_get_their_port_and_a_health_url():
    writer = table(base=9000)["writer"]
    assert writer.env == {"PORT": "9002"}
    assert writer.ports == (9002,)
    assert writer.health == "http://127.0.0.1:9002/health"
    assert writer.argv[-1] == "pmp_writer.wsgi:app"


def test_feed_server_gets_feed_speed_and_seed():
    assert table(feed="/captures/paris")["feed"].argv == (
        str(Path(sys.executable).with_name("pmp-simulator")),
        "--port=8086",
        "--feed=/captures/paris",
        "--speed=2.5",
        "--hours-ago=6",
        "--seed=7",
    )


def test_bigquery_keeps_its_tables_unless_ephemeral():
    assert "--data-dir=/s/bigquery" in table()["bigquery"].argv
    assert not any(a.startswith("--data-dir") for a in table(ephemeral=True)["bigquery"].argv)


def test_emulators_stop_last_and_what_needs_topics_and_tables_starts_last():
    specs = table(ingestion=Ingestion.PULL)
    assert {name for name, spec in specs.items() if spec.is_emulator} == {"pubsub", "bigquery"}
    assert {name for name, spec in specs.items() if spec.when_ready} == {"curation", "ingestion", "scheduler"}


def test_scheduler_is_a_command_of_pmpctl_with_the_options_that_it_has():
    module, *arguments = table()["scheduler"].argv[2:]
    command = typer.main.get_command(cli.app)
    name, found, rest = command.resolve_command(command.make_context("pmpctl", list(arguments)), arguments)
    assert (module, name) == ("pmpctl", "scheduler")
    assert found.make_context(name, rest).params == {"feature_engine": Engine.SQL}


@pytest.mark.parametrize("ingestion", Ingestion)
def test_sensor_events_have_only_the_subscription_that_is_read(ingestion):
    subscriptions = topology_for(ingestion).subscriptions
    (read,) = [s for s in subscriptions if s.topic.key == "sensor-events"]
    assert (read.push_path is None) is (ingestion is Ingestion.PULL)
    others = [s for s in TOPOLOGY.subscriptions if s.topic.key != "sensor-events"]
    assert [s for s in subscriptions if s is not read] == others
