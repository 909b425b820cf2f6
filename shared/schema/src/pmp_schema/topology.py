"""The names of all topics, subscriptions, datasets, tables, services and schedules, from topology.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal

Mode = Literal["always", "debug", "high-volume"]
# https://cloud.google.com/scheduler/docs/reference/rpc/google.cloud.scheduler.v1#httptarget
SCHEDULE_TIME_HEADER: Final = "X-CloudScheduler-ScheduleTime"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.

    Attributes:
        key: what it carries; also the last part of the writer's route.
        id: its name in a project.
    """

    key: str
    id: str
    description: str

    def path(self, project: str) -> str:
        return f"projects/{project}/topics/{self.id}"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription.

    Attributes:
        topic: the topic it reads.
        push_path: path on the writer, or None for a pull subscription.
        dead_letter: whether Pub/Sub itself forwards to the dead-letter topic after the policy's attempts.
        mode: `always`, or the mode of operation in which the subscription exists.
        retention_s: seconds that unacknowledged messages are kept.
    """

    id: str
    topic: Topic
    push_path: str | None
    dead_letter: bool
    mode: Mode
    retention_s: int

    def path(self, project: str) -> str:
        return f"projects/{project}/subscriptions/{self.id}"


@dataclass(frozen=True, slots=True)
class PushPolicy:
    """How push subscriptions redeliver; `_s` is seconds."""

    ack_deadline_s: int
    handler_budget_s: int
    max_delivery_attempts: int
    min_backoff_s: int
    max_backoff_s: int


@dataclass(frozen=True, slots=True)
class Materialized:
    """How BigQuery stores a materialized view.

    Attributes:
        partition_field: column of the daily partition: that of the base table, or its day. Without it, a partition
            that expires in the base table would invalidate the whole view.
        cluster: clustering columns, in order.
    """

    partition_field: str
    cluster: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset.

    Attributes:
        views: each comes after the views that it reads; these may be in an earlier dataset.
        materialized: the views that are materialized.
    """

    id: str
    description: str
    tables: tuple[str, ...]
    views: tuple[str, ...]
    materialized: dict[str, Materialized]


@dataclass(frozen=True, slots=True)
class Service:
    """A deployable HTTP service; `local_port` is its port with the default port base."""

    key: str
    id: str
    local_port: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A timed HTTP request: every `every_s` seconds, or daily at `daily_at` in `time_zone`.

    Attributes:
        timeout_s: seconds to wait for the response.
        body: JSON; a schedule whose body names an `engine` exists only where that engine is used.
    """

    id: str
    service: str
    method: str
    path: str
    timeout_s: int
    every_s: int | None = None
    daily_at: str | None = None
    time_zone: str | None = None
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """All names.

    Attributes:
        jobs: Dataflow job by pipeline.
        launchers: submitter job (Cloud Run) by pipeline.
    """

    local_project: str
    push_policy: PushPolicy
    push_audience: str
    topics: dict[str, Topic]
    subscriptions: tuple[Subscription, ...]
    datasets: dict[str, Dataset]
    services: dict[str, Service]
    jobs: dict[str, str]
    launchers: dict[str, str]
    schedules: tuple[Schedule, ...]

    def dataset_of(self, table: str) -> Dataset:
        """The dataset that holds a table or view.

        Raises:
            KeyError: no dataset has it.
        """
        for dataset in self.datasets.values():
            if table in dataset.tables or table in dataset.views:
                return dataset
        raise KeyError(table)

    def schedules_of(self, engine: str) -> tuple[Schedule, ...]:
        """The schedules of an installation whose features are computed by this engine."""
        return tuple(s for s in self.schedules if (s.body or {}).get("engine", engine) == engine)

    def push_subscription(self, topic: str) -> Subscription:
        """The push subscription of the writer's route that has the name of the topic's key."""
        return next(s for s in self.subscriptions if s.topic.key == topic and s.push_path is not None)

    def pull_subscription(self, topic: str) -> Subscription:
        """The subscription that a Beam pipeline reads, not the one for debugging.

        Raises:
            StopIteration: the topic has no pull subscription.
        """
        pulled = (s for s in self.subscriptions if s.topic.key == topic and s.push_path is None)
        return next(s for s in pulled if s.mode != "debug")


def _subscription(raw: dict[str, Any], topics: dict[str, Topic]) -> Subscription:
    return Subscription(
        id=raw["id"],
        topic=topics[raw["topic"]],
        push_path=raw.get("path"),
        dead_letter=raw["dead_letter"],
        mode=raw["mode"],
        retention_s=raw["retention_s"],
    )


def _dataset(key: str, raw: dict[str, Any]) -> Dataset:
    return Dataset(
        id=key,
        description=raw["description"],
        tables=tuple(raw["tables"]),
        views=tuple(raw["views"]),
        materialized={
            name: Materialized(partition_field=stored["partition"], cluster=tuple(stored["cluster"]))
            for name, stored in raw.get("materialized", {}).items()
        },
    )


def _load() -> Topology:
    raw = json.loads(files(__package__).joinpath("topology.json").read_text("utf-8"))
    topics = {key: Topic(key=key, **value) for key, value in raw["topics"].items()}
    return Topology(
        local_project=raw["local_project"],
        push_policy=PushPolicy(**raw["push_policy"]),
        push_audience=raw["push_audience"],
        topics=topics,
        subscriptions=tuple(_subscription(s, topics) for s in raw["subscriptions"]),
        datasets={key: _dataset(key, value) for key, value in raw["datasets"].items()},
        services={key: Service(key=key, **value) for key, value in raw["services"].items()},
        jobs=raw["jobs"],
        launchers=raw["launchers"],
        schedules=tuple(Schedule(**s) for s in raw["schedules"]),
    )


TOPOLOGY: Final = _load()
