import shlex
import tomllib
from pathlib import Path

import pytest

from pmpctl.local.environment import (
    LIVE,
    SIMULATED,
    VELIB_DISCOVERY_URL,
    LocalStack,
    child_environment,
    export_lines,
    external_pubsub,
    feeds_toml,
    project_root,
    state_folder,
    variables,
)
from pmpctl.local.ports import Ports
from pmpctl.local.record import StateFolder


def test_variables_are_those_of_the_contract():
    assert variables(Ports(), Path("/s")) == {
        "PROJECT_ID": "pmp-local",
        "REGION": "europe-west1",
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:8085",
        "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9050",
        "BIGQUERY_STORAGE_EMULATOR_HOST": "127.0.0.1:9060",
        "RAW_EVENT_TABLE": "pmp-local.pmp_raw.raw_events",
        "FEATURES_TABLE": "pmp-local.pmp_features.station_features",
        "PUBSUB_TOPIC": "projects/pmp-local/topics/pmp-sensor-events",
        "SUBSCRIPTION": "projects/pmp-local/subscriptions/pmp-sensor-events-to-bq-sub",
        "PORT": "8080",
        "BUCKET": "file:///s/bucket",
        "SA": "pmp-push@pmp-local.iam.gserviceaccount.com",
        "PUSH_SERVICE_ACCOUNT": "pmp-push@pmp-local.iam.gserviceaccount.com",
        "INJECT_SENSOR_DATA_JOB_NAME": "pmp-ingest-events",
        "FEATURE_ENGINEERING_JOB_NAME": "pmp-station-features",
        "PMP_STACK_PUBSUB": "127.0.0.1:8085",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": "http://127.0.0.1:8085/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": "pmp-local",
        "PUSH_AUTH": "none",
        "PUSH_AUDIENCE": "pmp-writer",
        "FEEDS_FILE": "/s/feeds.toml",
        "COLLECTOR_URL": "http://127.0.0.1:8081",
        "WRITER_URL": "http://127.0.0.1:8082",
        "REPLAYER_URL": "http://127.0.0.1:8083",
        "LAUNCHER_URL": "http://127.0.0.1:8084",
        "DASHBOARD_URL": "http://127.0.0.1:8088",
    }


def test_export_lines_survive_a_shell():
    lines = list(export_lines({"A": "it's here", "B": ""}))
    assert [shlex.split(line) for line in lines] == [["export", "A=it's here"], ["export", "B="]]


def test_emulator_of_the_shell_is_used():
    env = {"PUBSUB_EMULATOR_HOST": "emulators:8085"}
    assert external_pubsub(env, Ports()) == "emulators:8085"
    assert variables(Ports(), Path("/s"), "emulators:8085")["PUBSUB_EMULATOR_HOST"] == "emulators:8085"


@pytest.mark.parametrize("host", ["127.0.0.1:8085", "localhost:8085", ""])
def test_own_address_from_local_env_is_no_external_emulator(host):
    assert external_pubsub({"PUBSUB_EMULATOR_HOST": host}, Ports()) is None


def test_the_emulator_of_another_stack_is_not_taken_over():
    shell = variables(Ports(9000), Path("/s"))  # `pmpctl local env` of that stack was evaluated
    assert external_pubsub(shell, Ports()) is None


def test_an_external_emulator_stays_external_in_the_shell_of_its_stack():
    shell = variables(Ports(), Path("/s"), "emulators:8085")
    assert external_pubsub(shell, Ports()) == "emulators:8085"


def test_children_listen_on_loopback_and_bypass_proxies():
    child = child_environment({"NO_PROXY": "intranet", "HOST": "0.0.0.0", "KEPT": "1"}, {"PROJECT_ID": "p"})
    assert child["HOST"] == "127.0.0.1"
    assert child["NO_PROXY"] == child["no_proxy"] == "intranet,127.0.0.1,localhost"
    assert child["KEPT"] == "1"
    assert child["PROJECT_ID"] == "p"


def test_feeds_file_points_to_the_local_feed_server():
    assert tomllib.loads(feeds_toml(SIMULATED, Ports())) == {
        "systems": [
            {
                "id": "velib",
                "city_id": "paris",
                "timezone": "Europe/Paris",
                "discovery_url": "http://127.0.0.1:8086/gbfs.json",
                "poll_s": 60,
            }
        ]
    }


def test_feeds_file_of_live_is_velib_itself():
    assert tomllib.loads(feeds_toml(LIVE, Ports()))["systems"][0]["discovery_url"] == VELIB_DISCOVERY_URL


def test_state_lies_in_the_project_root(tmp_path):
    (tmp_path / "compose.yaml").touch()
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    assert project_root(inside) == tmp_path
    assert state_folder({}, Ports(), inside) == tmp_path / ".pmp" / "local"
    assert state_folder({"PMP_PORT_BASE": "9000"}, Ports(9000), inside) == tmp_path / ".pmp" / "local-9000"


def test_state_folder_can_be_named(tmp_path):
    assert state_folder({"PMP_STATE_DIR": str(tmp_path / "x")}, Ports(), tmp_path) == tmp_path / "x"


def test_a_shell_means_one_stack(tmp_path):
    state = tmp_path / "x"
    env = {"PMP_PORT_BASE": "9000", "PMP_STATE_DIR": str(state), "PUBSUB_EMULATOR_HOST": "emulators:8085"}
    stack = LocalStack.from_env(env, tmp_path)
    assert stack == LocalStack(ports=Ports(9000), state=StateFolder(state), pubsub="emulators:8085")
    assert stack.variables == variables(Ports(9000), state, "emulators:8085")
