"""The command line, as a user runs it: lines on standard output, one line on standard error, an exit code."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.feeds import closed_port
from tests.fakes.pubsub_server import pubsub_server

COMMAND = Path(sys.executable).with_name("pmp-collector")
# scripts/sensors.py of the first source document printed exactly these lines.
PRINTED = re.compile(
    r"Published: \{'event_id': 'e-[0-9a-z]+-9000\d', 'station_id': 'A_\d{3}', "
    r"'ts_iso': '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00', 'kind': '(pickup|dropoff)', 'delta': [123]\}"
)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [str(COMMAND), *arguments],
        env={**kept, "NO_GCE_CHECK": "true", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_simulate_prints_what_it_published_and_nothing_else():
    with pubsub_server() as pubsub:
        done = run("simulate", "--events", "2", PROJECT_ID="pmp-local", PUBSUB_EMULATOR_HOST=pubsub.address)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(PRINTED.fullmatch(line) for line in lines), lines
    assert re.fullmatch(r"2 events of run [0-9a-f]{8} in \d\.\d+ s\n", done.stderr)
    sent = [json.loads(message.data) for topic, message in pubsub.published if topic == "pmp-sensor-events"]
    assert [event["event_id"] in line for event, line in zip(sent, lines, strict=True)] == [True, True]
    assert [topic for topic, _ in pubsub.published][-1] == "pmp-ops-events"


def test_a_continuous_run_prints_no_event():
    with pubsub_server() as pubsub:
        done = run(
            *("simulate", "--mode", "continuous", "--events", "500", "--rate", "5000", "--city", "paris"),
            PROJECT_ID="pmp-local",
            PUBSUB_EMULATOR_HOST=pubsub.address,
            PUBSUB_TOPIC="projects/pmp-local/topics/elsewhere",
        )
    assert (done.returncode, done.stdout) == (0, "")
    assert [topic for topic, _ in pubsub.published].count("elsewhere") == 500


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "unset: PROJECT_ID"),
        (
            {"PROJECT_ID": "p", "GOOGLE_APPLICATION_CREDENTIALS": "/nonexistent.json"},
            r"no Google credentials: File /nonexistent\.json was not found\.",
        ),
        (
            {
                "PROJECT_ID": "p",
                "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{closed_port()}",
                "COLLECTOR_PUBLISH_TIMEOUT_S": "0.5",
            },
            r"Pub/Sub did not confirm after \d s: pmp-sensor-events: \w+",
        ),
    ],
    ids=["no-project", "no-credentials", "no-pubsub"],
)
def test_a_failure_is_one_line(variables, message):
    done = run("simulate", **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"pmp-collector: {message}\n", done.stderr), done.stderr


@pytest.mark.parametrize("command", [[], ["simulate"]])
def test_help_names_the_options_without_any_variable(command):
    done = run(*command, "--help", COLUMNS="200")
    assert done.returncode == 0
    assert "usage: pmp-collector" in done.stdout


def test_an_option_that_makes_no_sense_is_refused():
    done = run("simulate", "--events", "0", PROJECT_ID="pmp-local")
    assert done.returncode == 2
    assert "argument --events: 0 is not between 1 and 10000000" in done.stderr


def test_the_application_is_imported_without_a_variable_and_without_a_network():
    program = """
import sys
def refuse(event, _):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        raise RuntimeError(event)
sys.addaudithook(refuse)
import pmp_collector.app, pmp_collector.cli
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env={}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
