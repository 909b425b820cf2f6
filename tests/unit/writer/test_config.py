import pytest

from pmp_runtime.config import ConfigError
from pmp_schema.topology import TOPOLOGY
from pmp_writer.config import Config
from pmp_writer.sinks import table_path

LOCAL = {"PROJECT_ID": "p", "PUSH_AUTH": "none"}


def test_a_project_is_all_that_a_laptop_needs():
    assert Config.from_env(LOCAL) == Config(project="p", push_auth="none")


def test_every_variable_has_its_field():
    env = {
        "PROJECT_ID": "p",
        "RAW_EVENT_TABLE": "q.d.t",
        "BIGQUERY_STORAGE_EMULATOR_HOST": "127.0.0.1:9060",
        "PUSH_AUTH": "oidc",
        "PUSH_AUDIENCE": "someone",
        "PUSH_SERVICE_ACCOUNT": "pusher@p.iam.gserviceaccount.com",
        "WRITER_ROW_ENCODER": "proto",
        "WRITER_APPENDS_IN_FLIGHT": "3",
        "WRITER_APPEND_TIMEOUT_S": "5",
        "WRITER_PUBLISH_TIMEOUT_S": "6",
        "LOG_LEVEL": "DEBUG",
    }
    assert Config.from_env(env) == Config(
        project="p",
        raw_event_table="q.d.t",
        storage_emulator="127.0.0.1:9060",
        push_auth="oidc",
        push_audience="someone",
        push_service_account="pusher@p.iam.gserviceaccount.com",
        row_encoder="proto",
        appends_in_flight=3,
        append_timeout_s=5.0,
        publish_timeout_s=6.0,
        log_level="DEBUG",
    )


@pytest.mark.parametrize("push_auth", [{}, {"PUSH_AUTH": ""}, {"PUSH_AUTH": "iam"}, {"PUSH_AUTH": "oidc"}])
def test_checking_tokens_is_the_default_and_needs_an_account(push_auth):
    with pytest.raises(ConfigError, match="unset: PUSH_SERVICE_ACCOUNT"):
        Config.from_env({"PROJECT_ID": "p"} | push_auth)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PROJECT_ID": ""}, "unset: PROJECT_ID"),
        ({"PUSH_AUTH": "off"}, "PUSH_AUTH: 'off' is not one of iam, oidc, none"),
        ({"WRITER_ROW_ENCODER": "avro"}, "WRITER_ROW_ENCODER: 'avro' is not one of arrow, proto"),
        ({"RAW_EVENT_TABLE": "raw_events"}, "RAW_EVENT_TABLE: 'raw_events' is not project.dataset.table"),
        ({"RAW_EVENT_TABLE": "p..t"}, "RAW_EVENT_TABLE: 'p..t' is not project.dataset.table"),
        ({"WRITER_APPENDS_IN_FLIGHT": "0"}, "WRITER_APPENDS_IN_FLIGHT: not a positive whole number"),
        ({"WRITER_APPEND_TIMEOUT_S": "nan"}, "WRITER_APPEND_TIMEOUT_S: not a positive number"),
        ({"WRITER_APPEND_TIMEOUT_S": "40"}, "allow 80 s a message; at most 45 s"),
    ],
)
def test_a_wrong_environment_is_refused_in_one_line(changes, message):
    with pytest.raises(ConfigError) as error:
        Config.from_env(LOCAL | changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_longest_handling_fits_the_budget_of_the_subscriptions():
    config = Config(project="p")
    assert config.budget_s <= TOPOLOGY.push_policy.handler_budget_s


def test_sensor_events_may_go_elsewhere_and_nothing_else_does():
    config = Config(project="p", raw_event_table="other.bike_streaming.events")
    assert table_path(config, "raw_events") == "projects/other/datasets/bike_streaming/tables/events"
    assert table_path(config, "events") == "projects/p/datasets/pmp_ops/tables/events"
    assert table_path(Config(project="p"), "raw_events") == "projects/p/datasets/pmp_raw/tables/raw_events"
