"""The dashboard's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from pmp_runtime.config import count, log_level, number, require

# BigQuery compares this with its estimate, which ignores clusters: it counts the days of all systems. 1,500 systems of
# Vélib's size reach three quarters of the limit; docs/7-cost-and-scaling.md has the numbers.
MAX_BYTES_BILLED: Final = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Attributes:
    project: Google Cloud project id.
    bigquery_emulator: URL of a BigQuery emulator; None for Google's.
    fresh_s: seconds for which answers from live tables are cached.
    query_timeout_s: seconds for one BigQuery call, retries included.
    max_bytes_billed: a query is not run if BigQuery expects it to read more.
    log_level: Python level name.
    """

    project: str
    bigquery_emulator: str | None = None
    fresh_s: float = 20.0
    query_timeout_s: float = 20.0
    max_bytes_billed: int = MAX_BYTES_BILLED
    log_level: str = "INFO"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        (project,) = require(env, "PROJECT_ID")
        default = cls(project=project)
        return cls(
            project=project,
            bigquery_emulator=env.get("BIGQUERY_EMULATOR_HOST") or None,
            fresh_s=number(env, "DASHBOARD_FRESH_S", default.fresh_s),
            query_timeout_s=number(env, "DASHBOARD_QUERY_TIMEOUT_S", default.query_timeout_s),
            max_bytes_billed=count(env, "DASHBOARD_MAX_BYTES_BILLED", default.max_bytes_billed),
            log_level=log_level(env),
        )
