"""The writer's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, cast

from pmp_runtime.config import THREADS, ConfigError, choice, count, log_level, number, require
from pmp_schema.topology import TOPOLOGY

PushAuth = Literal["iam", "oidc", "none"]
Encoding = Literal["arrow", "proto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Attributes:
    project: Google Cloud project id.
    raw_event_table: where sensor events go, as `project.dataset.table`; None for the topology's table.
    storage_emulator: host:port of a Storage Write emulator; None for Google's.
    push_auth: who verifies the push token: Cloud Run's IAM, the writer itself, or nobody.
    push_audience: the audience that the token must name.
    push_service_account: the account that must have asked for the token.
    row_encoder: how rows are encoded for the Storage Write API.
    appends_in_flight: appends per table that may be unanswered at a time; batches form behind them.
    append_timeout_s: seconds before one append is given up; a reopened stream gets the rest of it.
    publish_timeout_s: seconds before a dead letter's publish is given up.
    threads: of the server; eight of them stay free for refusals and health checks.
    log_level: Python level name.
    """

    project: str
    raw_event_table: str | None = None
    storage_emulator: str | None = None
    push_auth: PushAuth = "iam"
    push_audience: str = TOPOLOGY.push_audience
    push_service_account: str | None = None
    row_encoder: Encoding = "arrow"
    appends_in_flight: int = 8
    append_timeout_s: float = 15.0
    publish_timeout_s: float = 10.0
    threads: int = THREADS
    log_level: str = "INFO"

    @property
    def pushes_in_hand(self) -> int:
        return max(1, self.threads - 8)

    @property
    def budget_s(self) -> float:
        """The longest a handler may take: queue and append, a dead letter's publish, its announcement."""
        return 1.5 * self.append_timeout_s + 2 * self.publish_timeout_s

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        (project,) = require(env, "PROJECT_ID")
        default = cls(project=project)
        push_auth = cast("PushAuth", choice(env, "PUSH_AUTH", default.push_auth, ("iam", "oidc", "none")))
        account = env.get("PUSH_SERVICE_ACCOUNT") or None
        if push_auth != "none" and account is None:
            raise ConfigError(f"unset: PUSH_SERVICE_ACCOUNT (needed by PUSH_AUTH={push_auth})")
        config = cls(
            project=project,
            raw_event_table=_qualified(env.get("RAW_EVENT_TABLE")),
            storage_emulator=env.get("BIGQUERY_STORAGE_EMULATOR_HOST") or None,
            push_auth=push_auth,
            push_audience=env.get("PUSH_AUDIENCE") or default.push_audience,
            push_service_account=account,
            row_encoder=cast(
                "Encoding", choice(env, "WRITER_ROW_ENCODER", default.row_encoder, ("arrow", "proto"))
            ),
            appends_in_flight=count(env, "WRITER_APPENDS_IN_FLIGHT", default.appends_in_flight),
            append_timeout_s=number(env, "WRITER_APPEND_TIMEOUT_S", default.append_timeout_s),
            publish_timeout_s=number(env, "WRITER_PUBLISH_TIMEOUT_S", default.publish_timeout_s),
            threads=count(env, "THREADS", default.threads),
            log_level=log_level(env),
        )
        policy = TOPOLOGY.push_policy
        if config.budget_s > policy.handler_budget_s:
            raise ConfigError(
                f"WRITER_APPEND_TIMEOUT_S and WRITER_PUBLISH_TIMEOUT_S allow {config.budget_s:g} s a message; "
                f"at most {policy.handler_budget_s} s, because the ack deadline is {policy.ack_deadline_s} s"
            )
        return config


def _qualified(table: str | None) -> str | None:
    if table and [bool(part) for part in table.split(".")] != [True] * 3:
        raise ConfigError(f"RAW_EVENT_TABLE: {table!r} is not project.dataset.table")
    return table or None
