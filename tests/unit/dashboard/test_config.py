import pytest

from pmp_dashboard.config import Config
from pmp_runtime.config import ConfigError


def test_every_variable_is_read_and_only_the_project_is_required():
    assert Config.from_env({"PROJECT_ID": "p"}) == Config(project="p")
    env = {
        "PROJECT_ID": "p",
        "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9050",
        "DASHBOARD_FRESH_S": "3.5",
        "DASHBOARD_QUERY_TIMEOUT_S": "4",
        "DASHBOARD_MAX_BYTES_BILLED": "1000",
        "LOG_LEVEL": "debug",
    }
    assert Config.from_env(env) == Config(
        project="p",
        bigquery_emulator="http://127.0.0.1:9050",
        fresh_s=3.5,
        query_timeout_s=4,
        max_bytes_billed=1000,
        log_level="DEBUG",
    )


@pytest.mark.parametrize("name", ["FRESH_S", "QUERY_TIMEOUT_S", "MAX_BYTES_BILLED"])
@pytest.mark.parametrize("value", ["0", "-1", "much"])
def test_a_number_is_above_zero(name, value):
    with pytest.raises(ConfigError, match=f"DASHBOARD_{name}"):
        Config.from_env({"PROJECT_ID": "p", f"DASHBOARD_{name}": value})
