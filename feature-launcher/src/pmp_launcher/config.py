"""The launcher's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pmp_runtime.config import choice, log_level, number, require
from pmp_schema.features import FeatureTables
from pmp_schema.features.runs import Engine

EXECUTORS = ("sql", "cloud-run-job", "local")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Attributes:
    project: Google Cloud project id.
    region: of the Cloud Run job; None leaves engine `beam` out.
    executor: `local` carries out both engines; else BigQuery `sql`, and the Cloud Run job `beam`.
    state: folder of local runs.
    bigquery_emulator: URL of a BigQuery emulator; None for Google's.
    raw_event_table: `project.dataset.table` where the sensor events were moved.
    features_table: likewise of the features.
    deadline_s: seconds after which a run is ended.
    query_timeout_s: seconds before one call of BigQuery or Cloud Run is given up, retries included.
    publish_timeout_s: seconds before one publish is given up, retries included.
    log_level: Python level name.
    """

    project: str
    region: str | None = None
    executor: str = "sql"
    state: Path = Path(".pmp/launcher")
    bigquery_emulator: str | None = None
    raw_event_table: str | None = None
    features_table: str | None = None
    deadline_s: float = 1200.0
    query_timeout_s: float = 30.0
    publish_timeout_s: float = 10.0
    log_level: str = "INFO"

    @property
    def default_engine(self) -> Engine:
        """Of a request that names none: `beam` where the Cloud Run job is what runs on schedule."""
        return Engine.BEAM if self.executor == "cloud-run-job" else Engine.SQL

    @property
    def tables(self) -> FeatureTables:
        return FeatureTables.of(
            self.project, raw_events=self.raw_event_table, station_features=self.features_table
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        (project,) = require(env, "PROJECT_ID")
        default = cls(project=project)
        executor = choice(env, "LAUNCHER_EXECUTOR", default.executor, EXECUTORS)
        region = env.get("REGION") or None
        if executor == "cloud-run-job":
            require(env, "REGION")
        return cls(
            project=project,
            region=region,
            executor=executor,
            state=Path(env.get("LAUNCHER_STATE_DIR") or default.state),
            bigquery_emulator=env.get("BIGQUERY_EMULATOR_HOST") or None,
            raw_event_table=env.get("RAW_EVENT_TABLE") or None,
            features_table=env.get("FEATURES_TABLE") or None,
            deadline_s=number(env, "LAUNCHER_DEADLINE_S", default.deadline_s),
            query_timeout_s=number(env, "LAUNCHER_QUERY_TIMEOUT_S", default.query_timeout_s),
            publish_timeout_s=number(env, "LAUNCHER_PUBLISH_TIMEOUT_S", default.publish_timeout_s),
            log_level=log_level(env),
        )
