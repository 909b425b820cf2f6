import subprocess
import sys
from pathlib import Path

import pytest

from pmp_schema.topology import TOPOLOGY
from pmpctl.errors import CommandError
from pmpctl.local.ports import Ports
from pmpctl.local.processes import NAMES, ProcessSpec, StackOptions, process_table

PUBSUB = ("java", "-jar", "e.jar")


def table(*, feed="simulated", ephemeral=False, without=(), pubsub=PUBSUB, base=8080):
    options = StackOptions(
        feed=feed, speed=2.5, hours_ago=6, seed=7, ephemeral=ephemeral, without=frozenset(without)
    )
    specs = process_table(
        options,
        Ports(base),
        state=Path("/s"),
        python=Path("/venv/bin/python"),
        pubsub=pubsub,
        ready_file=Path("/s/ready"),
    )
    return {spec.name: spec for spec in specs}


def test_every_process_is_there_in_order():
    assert tuple(table()) == NAMES


def test_live_feed_needs_no_feed_server():
    assert tuple(table(feed="live")) == tuple(n for n in NAMES if n != "feed")


def test_running_pubsub_emulator_is_not_started_again():
    assert "pubsub" not in table(pubsub=None)


def test_processes_can_be_left_out():
    assert tuple(table(without=["scheduler", "feed"])) == (
        "pubsub",
        "bigquery",
        "collector",
        "writer",
        "replayer",
        "launcher",
        "dashboard",
        "curation",
    )


def test_unknown_process_to_leave_out_is_refused():
    with pytest.raises(CommandError, match="--without nobody: choose from pubsub"):
        table(without=["nobody"])


def test_services_get_their_port_and_are_asked_for_health():
    writer = table(base=9000)["writer"]
    assert writer.env == {"PORT": "9002"}
    assert writer.ports == (9002,)
    assert writer.health == "http://127.0.0.1:9002/health"
    assert writer.argv[-1] == "pmp_writer.wsgi:app"


def test_feed_server_gets_feed_speed_and_seed():
    assert table(feed="/captures/paris")["feed"].argv == (
        "/venv/bin/pmp-simulator",
        "--port=8086",
        "--feed=/captures/paris",
        "--speed=2.5",
        "--hours-ago=6",
        "--seed=7",
    )


def test_bigquery_keeps_its_tables_unless_ephemeral():
    assert "--data-dir=/s/bigquery" in table()["bigquery"].argv
    assert not any(a.startswith("--data-dir") for a in table(ephemeral=True)["bigquery"].argv)


def test_emulators_stop_last():
    assert {name for name, spec in table().items() if spec.stops_last} == {"pubsub", "bigquery"}


def test_what_needs_topics_and_tables_waits_until_the_stack_is_ready():
    assert {name for name, spec in table().items() if spec.after} == {"curation", "scheduler"}
    assert all(spec.after in (None, Path("/s/ready")) for spec in table().values())


def test_scheduler_knows_every_service():
    argv = table()["scheduler"].argv
    assert [a for a in argv if a.startswith("--service=")] == [
        f"--service={key}={Ports().url(key)}" for key in TOPOLOGY.services
    ]


def test_command_waits_for_its_file(tmp_path):
    ready = tmp_path / "it is ready"
    spec = ProcessSpec(name="x", argv=(sys.executable, "-c", "print('started')"), after=ready)
    child = subprocess.Popen(spec.command, shell=True, stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        child.communicate(timeout=0.3)
    ready.touch()
    assert child.communicate(timeout=20)[0] == "started\n"


def test_command_replaces_its_shell_and_is_quoted():
    assert ProcessSpec(name="x", argv=("/a b/python", "-c", "1; 2")).command == "exec '/a b/python' -c '1; 2'"
