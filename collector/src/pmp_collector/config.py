"""The collector's configuration and the feeds file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo

import msgspec

from pmp_runtime.config import ConfigError, count, log_level, number, require
from pmp_schema.topology import TOPOLOGY, Topic

VELIB_URL: Final = "https://velib-metropole-opendata.smovengo.cloud/opendata/Velib_Metropole/gbfs.json"

HttpUrl = Annotated[str, msgspec.Meta(pattern=r"^https?://[^/?#]")]


class System(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[systems]]` entry of the feeds file.

    Attributes:
        id: source and system_id of the snapshots.
        city_id, timezone: attributes of every snapshot, so that consumers need no configuration; the time zone is
            an IANA name. Defaults downstream: city `unknown`, UTC.
        discovery_url: the system's gbfs.json; explicit URLs take precedence.
        language: preferred language of gbfs.json (versions 1 and 2).
        poll_s: seconds between scheduled polls; the feed's ttl is ignored.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    city_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    timezone: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    discovery_url: HttpUrl | None = None
    station_status_url: HttpUrl | None = None
    station_information_url: HttpUrl | None = None
    language: str = "en"
    poll_s: Annotated[int, msgspec.Meta(ge=1)] = 60

    def explicit_url(self, feed: str) -> str | None:
        return {
            "station_status": self.station_status_url,
            "station_information": self.station_information_url,
        }.get(feed)


class _FeedsFile(msgspec.Struct, forbid_unknown_fields=True):
    systems: Annotated[list[System], msgspec.Meta(min_length=1)]


DEFAULT_SYSTEMS: Final = (
    System(id="velib", city_id="paris", timezone="Europe/Paris", discovery_url=VELIB_URL),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Attributes:
    project: Google Cloud project id.
    systems: what to poll.
    sensor_topic: where simulated sensor events go.
    connect_timeout_s: seconds to connect to a feed's server.
    read_timeout_s: seconds between two reads of a feed's body.
    max_body_bytes: larger feed bodies, after inflation, are refused.
    fetch_attempts: maximum requests per poll and feed.
    publish_timeout_s: seconds for one publish, retries included.
    log_level: Python level name.
    """

    project: str
    systems: tuple[System, ...] = DEFAULT_SYSTEMS
    sensor_topic: Topic = TOPOLOGY.topics["sensor-events"]
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 10.0
    max_body_bytes: int = 30_000_000
    fetch_attempts: int = 3
    publish_timeout_s: float = 10.0
    log_level: str = "INFO"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        (project,) = require(env, "PROJECT_ID")
        default = cls(project=project)
        feeds_file = env.get("FEEDS_FILE")
        return cls(
            project=project,
            systems=load_systems(Path(feeds_file)) if feeds_file else default.systems,
            sensor_topic=_topic(env.get("PUBSUB_TOPIC"), project),
            connect_timeout_s=number(env, "COLLECTOR_CONNECT_TIMEOUT_S", default.connect_timeout_s),
            read_timeout_s=number(env, "COLLECTOR_READ_TIMEOUT_S", default.read_timeout_s),
            max_body_bytes=count(env, "COLLECTOR_MAX_BODY_BYTES", default.max_body_bytes),
            fetch_attempts=count(env, "COLLECTOR_FETCH_ATTEMPTS", default.fetch_attempts),
            publish_timeout_s=number(env, "COLLECTOR_PUBLISH_TIMEOUT_S", default.publish_timeout_s),
            log_level=log_level(env),
        )


def load_systems(path: Path) -> tuple[System, ...]:
    """The systems of a feeds file.

    Raises:
        ConfigError: the file is missing or not TOML, or an entry is invalid; one line.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        systems = msgspec.convert(raw, _FeedsFile).systems
        for system in systems:
            if system.timezone is not None:
                ZoneInfo(system.timezone)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError, KeyError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    ids = [system.id for system in systems]
    if len(set(ids)) != len(ids):
        raise ConfigError(f"{path}: two systems have the same id")
    for system in systems:
        if not (system.discovery_url or (system.station_status_url and system.station_information_url)):
            raise ConfigError(f"{path}: system {system.id} needs discovery_url, or both explicit URLs")
    return tuple(systems)


def _topic(path: str | None, project: str) -> Topic:
    """The topic that PUBSUB_TOPIC names (id or full path), or the default."""
    default = TOPOLOGY.topics["sensor-events"]
    if not path:
        return default
    topic = Topic(key=default.key, id=path.rsplit("/", 1)[-1], description=default.description)
    if not topic.id or path not in {topic.id, topic.path(project)}:
        raise ConfigError(
            f"PUBSUB_TOPIC: {path!r} is neither a topic id nor the path of a topic in project {project}"
        )
    return topic
