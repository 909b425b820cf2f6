"""What the pipelines take from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pmp_runtime.config import log_level, number, require


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Attributes:
    project: Google Cloud project id.
    region: of Dataflow; needed there only.
    bucket: `gs://...` for Dataflow's files; needed there only.
    image: container image of this package, for Dataflow's workers; needed there only.
    service_account: of Dataflow's workers; None is the project's default.
    pubsub_emulator: `host:port` of a Pub/Sub emulator; None for Google's.
    bigquery_emulator: URL of a BigQuery emulator; None for Google's.
    storage_emulator: `host:port` of the Storage API's emulator; None for Google's.
    raw_event_table: `project.dataset.table` of the sensor events where they were moved.
    features_table: `project.dataset.table` of the station features where they were moved.
    features_job: first part of the names of Dataflow's jobs of station_features; None is the topology's.
    query_timeout_s: seconds before one call of BigQuery is given up, retries included.
    log_level: Python level name.
    """

    project: str
    region: str | None = None
    bucket: str | None = None
    image: str | None = None
    service_account: str | None = None
    pubsub_emulator: str | None = None
    bigquery_emulator: str | None = None
    storage_emulator: str | None = None
    raw_event_table: str | None = None
    features_table: str | None = None
    features_job: str | None = None
    query_timeout_s: float = 60.0
    log_level: str = "INFO"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        (project,) = require(env, "PROJECT_ID")
        return cls(
            project=project,
            region=env.get("REGION") or None,
            bucket=env.get("BUCKET") or None,
            image=env.get("BEAM_IMAGE") or None,
            service_account=env.get("SA") or None,
            pubsub_emulator=env.get("PUBSUB_EMULATOR_HOST") or None,
            bigquery_emulator=env.get("BIGQUERY_EMULATOR_HOST") or None,
            storage_emulator=env.get("BIGQUERY_STORAGE_EMULATOR_HOST") or None,
            raw_event_table=env.get("RAW_EVENT_TABLE") or None,
            features_table=env.get("FEATURES_TABLE") or None,
            features_job=env.get("FEATURE_ENGINEERING_JOB_NAME") or None,
            query_timeout_s=number(env, "BEAM_QUERY_TIMEOUT_S", 60.0),
            log_level=log_level(env),
        )
