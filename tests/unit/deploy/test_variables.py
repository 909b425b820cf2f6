import shlex
import tomllib
from pathlib import Path

import pytest

from pmpctl.local.local_stack import LocalStack, project_root
from pmpctl.local.ports import Ports
from pmpctl.local.variables import (
    LIVE,
    SIMULATED,
    VELIB_DISCOVERY_URL,
    child_environment,
    export_lines,
    feeds_toml,
    variables,
)


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


def stack(tmp_path, **env):
    return LocalStack.from_env(env, tmp_path)


def test_emulator_of_the_shell_is_used(tmp_path):
    external = stack(tmp_path, PUBSUB_EMULATOR_HOST="emulators:8085")
    assert external.variables["PUBSUB_EMULATOR_HOST"] == "emulators:8085"
    # Also in a shell that evaluated `pmpctl local env`.
    assert stack(tmp_path, **external.variables).pubsub == "emulators:8085"


@pytest.mark.parametrize("host", ["127.0.0.1:8085", "localhost:8085", ""])
def test_own_address_from_local_env_is_no_external_emulator(tmp_path, host):
    assert stack(tmp_path, PUBSUB_EMULATOR_HOST=host).pubsub is None


def test_the_emulator_of_another_stack_is_not_taken_over(tmp_path):
    shell = variables(Ports(9000), Path("/s"))  # `pmpctl local env` of that stack was evaluated
    assert stack(tmp_path, **shell).pubsub is None


def test_children_listen_on_loopback_and_bypass_proxies():
    child = child_environment({"NO_PROXY": "intranet", "HOST": "0.0.0.0", "KEPT": "1"}, {"PROJECT_ID": "p"})
    assert child["HOST"] == "127.0.0.1"
    assert child["NO_PROXY"] == child["no_proxy"] == "intranet,127.0.0.1,localhost"
    assert child["KEPT"] == "1"
    assert child["PROJECT_ID"] == "p"


@pytest.mark.parametrize(
    ("feed", "url"), [(SIMULATED, "http://127.0.0.1:8086/gbfs.json"), (LIVE, VELIB_DISCOVERY_URL)]
)
def test_feeds_file_points_to_the_local_feed_server_or_to_velib(feed, url):
    system = {"id": "velib", "city_id": "paris", "timezone": "Europe/Paris", "poll_s": 60}
    assert tomllib.loads(feeds_toml(feed, Ports())) == {"systems": [system | {"discovery_url": url}]}


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({}, ".pmp/local"),
        ({"PMP_PORT_BASE": "9000"}, ".pmp/local-9000"),
        ({"PMP_PORT_BASE": "9000", "PMP_STATE_DIR": "/x"}, "/x"),
    ],
)
def test_state_lies_in_the_project_root_or_where_it_is_wanted(tmp_path, env, folder):
    (tmp_path / "compose.yaml").touch()
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    assert project_root(inside) == tmp_path
    assert stack(inside, **env).state.path == tmp_path / folder
