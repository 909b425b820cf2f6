import pytest

from pmp_replayer.config import Config
from pmp_runtime.config import ConfigError


def test_every_variable_is_read_and_only_the_project_is_required():
    assert Config.from_env({"PROJECT_ID": "p"}) == Config(project="p")
    env = {
        "PROJECT_ID": "p",
        "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9050",
        "REPLAYER_LEASE_S": "30",
        "REPLAYER_IDLE_S": "2",
        "REPLAYER_PUBLISH_TIMEOUT_S": "3",
        "REPLAYER_QUERY_TIMEOUT_S": "4",
        "REPLAYER_RUN_TIMEOUT_S": "500",
        "LOG_LEVEL": "DEBUG",
    }
    assert Config.from_env(env) == Config(
        project="p",
        bigquery_emulator="http://127.0.0.1:9050",
        lease_s=30,
        idle_s=2,
        publish_timeout_s=3,
        query_timeout_s=4,
        run_timeout_s=500,
        log_level="DEBUG",
    )


@pytest.mark.parametrize("lease_s", ["9", "601", "-1", "long"])
def test_a_lease_is_one_that_pubsub_grants(lease_s):
    with pytest.raises(ConfigError, match="REPLAYER_LEASE_S"):
        Config.from_env({"PROJECT_ID": "p", "REPLAYER_LEASE_S": lease_s})
