"""The collector's configuration: whole or not at all, in one line."""

from pathlib import Path

import pytest

from pmp_collector.config import VELIB_URL, Config, load_systems
from pmp_runtime.config import ConfigError
from pmp_schema.topology import TOPOLOGY

PROJECT = {"PROJECT_ID": "pmp-local"}


def feeds_file(folder: Path, text: str) -> Path:
    path = folder / "feeds.toml"
    path.write_text(text, "utf-8")
    return path


def test_every_variable_is_read_and_only_the_project_is_required():
    config = Config.from_env(PROJECT)
    assert config == Config(project="pmp-local")
    assert [(s.id, s.discovery_url, s.poll_s) for s in config.systems] == [("velib", VELIB_URL, 60)]
    empty = dict.fromkeys(("FEEDS_FILE", "PUBSUB_TOPIC", "COLLECTOR_READ_TIMEOUT_S", "LOG_LEVEL"), "")
    assert Config.from_env(PROJECT | empty) == config
    with pytest.raises(ConfigError, match=r"^unset: PROJECT_ID$"):
        Config.from_env({})
    env = PROJECT | {
        "COLLECTOR_CONNECT_TIMEOUT_S": "0.5",
        "COLLECTOR_READ_TIMEOUT_S": "1.5",
        "COLLECTOR_MAX_BODY_BYTES": "1000",
        "COLLECTOR_FETCH_ATTEMPTS": "2",
        "COLLECTOR_PUBLISH_TIMEOUT_S": "3",
        "LOG_LEVEL": "debug",
    }
    assert Config.from_env(env) == Config(
        project="pmp-local",
        connect_timeout_s=0.5,
        read_timeout_s=1.5,
        max_body_bytes=1000,
        fetch_attempts=2,
        publish_timeout_s=3.0,
        log_level="DEBUG",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COLLECTOR_READ_TIMEOUT_S", "soon"),
        ("COLLECTOR_READ_TIMEOUT_S", "0"),
        ("COLLECTOR_CONNECT_TIMEOUT_S", "-1"),
        ("COLLECTOR_PUBLISH_TIMEOUT_S", "nan"),
        ("COLLECTOR_MAX_BODY_BYTES", "inf"),
        ("COLLECTOR_MAX_BODY_BYTES", "1.5"),
        ("COLLECTOR_FETCH_ATTEMPTS", "0.5"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(name, value):
    with pytest.raises(ConfigError, match=f"^{name}: .*{value}"):
        Config.from_env(PROJECT | {name: value})


@pytest.mark.parametrize("given", ["pmp-sensor-events-2", "projects/pmp-local/topics/pmp-sensor-events-2"])
def test_the_sensor_topic_can_be_named_by_its_id_or_its_path(given):
    topic = Config.from_env(PROJECT | {"PUBSUB_TOPIC": given}).sensor_topic
    assert topic.path("pmp-local") == "projects/pmp-local/topics/pmp-sensor-events-2"
    assert topic.key == TOPOLOGY.topics["sensor-events"].key


@pytest.mark.parametrize("given", ["projects/other/topics/t", "topics/t", "projects/pmp-local/topics/"])
def test_a_topic_of_another_project_is_refused(given):
    with pytest.raises(ConfigError, match=r"^PUBSUB_TOPIC: "):
        Config.from_env(PROJECT | {"PUBSUB_TOPIC": given})


def test_a_feeds_file_replaces_the_default(tmp_path):
    path = feeds_file(
        tmp_path,
        """
        [[systems]]
        id = "oslo"
        city_id = "oslo"
        timezone = "Europe/Oslo"
        discovery_url = "https://gbfs.test/gbfs.json"
        language = "nb"
        poll_s = 300

        [[systems]]
        id = "local"
        station_status_url = "http://127.0.0.1:8086/station_status.json"
        station_information_url = "http://127.0.0.1:8086/station_information.json"
        """,
    )
    oslo, local = Config.from_env(PROJECT | {"FEEDS_FILE": str(path)}).systems
    assert (oslo.id, oslo.language, oslo.poll_s, oslo.explicit_url("station_status")) == (
        "oslo",
        "nb",
        300,
        None,
    )
    assert local.explicit_url("station_status") == "http://127.0.0.1:8086/station_status.json"
    assert (oslo.city_id, oslo.timezone) == ("oslo", "Europe/Oslo")
    assert (local.discovery_url, local.city_id, local.timezone) == (None, None, None)


ONE = '[[systems]]\nid = "a"\n'
URL = 'discovery_url = "https://a.test/gbfs.json"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "systems"),
        ("systems = []", "systems"),
        ("[[systems]\n", "Expected"),
        (URL, "unknown field"),
        ('[[systems]]\nid = "Velib"\n' + URL, "id"),
        ('[[systems]]\nid = "1st"\n' + URL, "id"),
        (ONE, "system a needs discovery_url, or both explicit URLs"),
        (ONE + 'station_status_url = "https://a.test/s"\n', "needs discovery_url"),
        (ONE + 'discovery_url = "ftp://a.test/gbfs.json"\n', "discovery_url"),
        (ONE + 'discovery_url = "https:///gbfs.json"\n', "discovery_url"),
        (ONE + URL + 'station_status_url = "file:///etc/passwd"\n', "station_status_url"),
        (ONE + URL + "poll_s = 0\n", "poll_s"),
        (ONE + URL + 'timezone = "Europe/Atlantis"\n', "Atlantis"),
        (ONE + URL + 'timezone = "Europe"\n', "Europe"),
        (ONE + URL + 'timezone = "../etc/passwd"\n', "passwd"),
        (ONE + URL + 'timezone = ""\n', "timezone"),
        (ONE + URL + 'city_id = ""\n', "city_id"),
        (ONE + URL + f'city_id = "{"c" * 101}"\n', "city_id"),
        (ONE + URL + 'colour = "green"\n', "colour"),
        (ONE + URL + ONE + URL, "same id"),
    ],
)
def test_a_feeds_file_that_is_not_right_is_one_line(tmp_path, text, said):
    path = feeds_file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_systems(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "message"), [(None, "No such file"), (b"\xff\xfe\x00", "")])
def test_a_feeds_file_that_cannot_be_read_is_one_line(tmp_path, content, message):
    path = tmp_path / "feeds.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"feeds\.toml: .*{message}"):
        load_systems(path)
