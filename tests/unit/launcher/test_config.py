from pathlib import Path

import pytest

from pmp_launcher.config import Config
from pmp_runtime.config import ConfigError
from pmp_schema.features.runs import Engine


def test_defaults():
    assert Config.from_env({"PROJECT_ID": "p"}) == Config(project="p")


def test_every_variable_counts():
    env = {
        "PROJECT_ID": "p",
        "REGION": "r",
        "LAUNCHER_EXECUTOR": "local",
        "LAUNCHER_STATE_DIR": "/s",
        "BIGQUERY_EMULATOR_HOST": "http://b",
        "RAW_EVENT_TABLE": "p.d.raw",
        "FEATURES_TABLE": "p.d.features",
        "LAUNCHER_DEADLINE_S": "60",
        "LAUNCHER_QUERY_TIMEOUT_S": "5",
        "LAUNCHER_PUBLISH_TIMEOUT_S": "6",
        "LOG_LEVEL": "debug",
    }
    assert Config.from_env(env) == Config(
        project="p",
        region="r",
        executor="local",
        state=Path("/s"),
        bigquery_emulator="http://b",
        raw_event_table="p.d.raw",
        features_table="p.d.features",
        deadline_s=60,
        query_timeout_s=5,
        publish_timeout_s=6,
        log_level="DEBUG",
    )


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "unset: PROJECT_ID"),
        ({"PROJECT_ID": "p", "LAUNCHER_EXECUTOR": "cloud-run-job"}, "unset: REGION"),
        ({"PROJECT_ID": "p", "LAUNCHER_EXECUTOR": "cron"}, "LAUNCHER_EXECUTOR"),
        ({"PROJECT_ID": "p", "LAUNCHER_DEADLINE_S": "0"}, "LAUNCHER_DEADLINE_S"),
    ],
)
def test_what_is_wrong_is_named(env, message):
    with pytest.raises(ConfigError, match=message):
        Config.from_env(env)


@pytest.mark.parametrize(
    ("executor", "engine"), [("sql", Engine.SQL), ("cloud-run-job", Engine.BEAM), ("local", Engine.SQL)]
)
def test_the_executor_says_which_engine_is_meant_by_default(executor, engine):
    assert Config(project="p", executor=executor).default_engine is engine
