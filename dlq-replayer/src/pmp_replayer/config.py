"""The replayer's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from pmp_runtime.config import ConfigError, log_level, number, require

LONGEST_LEASE_S: Final = 600.0  # https://cloud.google.com/pubsub/quotas, ack deadline
SHORTEST_LEASE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Attributes:
    project: Google Cloud project id.
    bigquery_emulator: URL of a BigQuery emulator; None for Google's.
    lease_s: seconds that a pulled dead letter is leased; extended every third of that time.
    idle_s: seconds without a new dead letter after which a replay of the hold ends.
    publish_timeout_s: seconds for one publish, retries included.
    query_timeout_s: seconds for one BigQuery call, retries included.
    run_timeout_s: seconds after which a replay ends by itself.
    log_level: Python level name.
    """

    project: str
    bigquery_emulator: str | None = None
    lease_s: float = 60.0
    idle_s: float = 5.0
    publish_timeout_s: float = 10.0
    query_timeout_s: float = 30.0
    run_timeout_s: float = 3300.0
    log_level: str = "INFO"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        (project,) = require(env, "PROJECT_ID")
        default = cls(project=project)
        lease_s = number(env, "REPLAYER_LEASE_S", default.lease_s)
        if not SHORTEST_LEASE_S <= lease_s <= LONGEST_LEASE_S:
            raise ConfigError(
                f"REPLAYER_LEASE_S: {lease_s:g} is not between {SHORTEST_LEASE_S:g} and {LONGEST_LEASE_S:g} s"
            )
        return cls(
            project=project,
            bigquery_emulator=env.get("BIGQUERY_EMULATOR_HOST") or None,
            lease_s=lease_s,
            idle_s=number(env, "REPLAYER_IDLE_S", default.idle_s),
            publish_timeout_s=number(env, "REPLAYER_PUBLISH_TIMEOUT_S", default.publish_timeout_s),
            query_timeout_s=number(env, "REPLAYER_QUERY_TIMEOUT_S", default.query_timeout_s),
            run_timeout_s=number(env, "REPLAYER_RUN_TIMEOUT_S", default.run_timeout_s),
            log_level=log_level(env),
        )
