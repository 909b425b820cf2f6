"""Where a local stack keeps its state, and the variables by which its parts and its user find each other."""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pmp_schema.topology import TOPOLOGY
from pmpctl.local.ports import LOOPBACK, Ports
from pmpctl.local.record import StateFolder

SIMULATED: Final = "simulated"
LIVE: Final = "live"
# Vélib Métropole's open data, GBFS 1.0: https://www.velib-metropole.fr/donnees-open-data-gbfs-du-service-velib-metropole
VELIB_DISCOVERY_URL: Final = (
    "https://velib-metropole-opendata.smovengo.cloud/opendata/Velib_Metropole/gbfs.json"
)
# Marks a PUBSUB_EMULATOR_HOST that is a stack's own.
STACK_PUBSUB: Final = "PMP_STACK_PUBSUB"
_REGION: Final = "europe-west1"
_ROOT_MARKERS: Final = ("compose.yaml", "uv.lock")


def project_root(start: Path) -> Path:
    """The nearest folder upwards that holds the stack's definition; the start itself where there is none."""
    for folder in (start, *start.parents):
        if any((folder / marker).is_file() for marker in _ROOT_MARKERS):
            return folder
    return start


def state_folder(env: Mapping[str, str], ports: Ports, cwd: Path) -> Path:
    """`PMP_STATE_DIR`, else `.pmp/local` in the project's root, with the port base where one is set."""
    if env.get("PMP_STATE_DIR"):
        return Path(env["PMP_STATE_DIR"]).absolute()
    name = f"local-{ports.base}" if env.get("PMP_PORT_BASE") else "local"
    return project_root(cwd) / ".pmp" / name


def external_pubsub(env: Mapping[str, str], ports: Ports) -> str | None:
    """An emulator that runs already, `host:port`.

    An address of a stack of ours is not external: it is set wherever `pmpctl local env` was evaluated, and another
    stack that used it would take over the subscriptions.
    """
    host = env.get("PUBSUB_EMULATOR_HOST")
    own = {ports.address("pubsub"), f"localhost:{ports.of('pubsub')}", env.get(STACK_PUBSUB)}
    return None if not host or host in own else host


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStack:
    """Which stack a shell's commands mean.

    Attributes:
        state: its files.
        pubsub: `host:port` of a Pub/Sub emulator that is not the stack's own.
    """

    ports: Ports
    state: StateFolder
    pubsub: str | None

    @classmethod
    def from_env(cls, env: Mapping[str, str], cwd: Path) -> Self:
        """Of `PMP_PORT_BASE`, `PMP_STATE_DIR` and `PUBSUB_EMULATOR_HOST`.

        Raises:
            CommandError: the base is none for ports.
        """
        ports = Ports.parse(env.get("PMP_PORT_BASE"))
        state = StateFolder(state_folder(env, ports, cwd))
        return cls(ports=ports, state=state, pubsub=external_pubsub(env, ports))

    @property
    def variables(self) -> dict[str, str]:
        """As `pmpctl local env` prints them."""
        return variables(self.ports, self.state.path, self.pubsub)


def feeds_file(state: Path) -> Path:
    return state / "feeds.toml"


def variables(ports: Ports, state: Path, pubsub: str | None = None) -> dict[str, str]:
    """Every variable that the services, the commands and a person's shell share.

    Args:
        ports: of the stack.
        state: its state folder.
        pubsub: `host:port` of a Pub/Sub emulator that is not the stack's own.
    """
    project = TOPOLOGY.local_project
    sensor_events = TOPOLOGY.topics["sensor-events"]
    account = f"pmp-push@{project}.iam.gserviceaccount.com"
    return {
        "PROJECT_ID": project,
        "REGION": _REGION,
        "PUBSUB_EMULATOR_HOST": pubsub or ports.address("pubsub"),
        "BIGQUERY_EMULATOR_HOST": ports.url("bigquery"),
        "BIGQUERY_STORAGE_EMULATOR_HOST": ports.address("bigquery-grpc"),
        "RAW_EVENT_TABLE": _table(project, "raw_events"),
        "FEATURES_TABLE": _table(project, "station_features"),
        "PUBSUB_TOPIC": sensor_events.path(project),
        "SUBSCRIPTION": TOPOLOGY.push_subscription("sensor-events").path(project),
        "PORT": "8080",  # of a container; the stack gives each service its own
        "BUCKET": (state / "bucket").as_uri(),
        "SA": account,
        "PUSH_SERVICE_ACCOUNT": account,
        "INJECT_SENSOR_DATA_JOB_NAME": TOPOLOGY.jobs["ingest_events"],
        "FEATURE_ENGINEERING_JOB_NAME": TOPOLOGY.jobs["station_features"],
        STACK_PUBSUB: "" if pubsub else ports.address("pubsub"),
        # So that `gcloud pubsub topics publish` reaches the emulator.
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"http://{pubsub or ports.address('pubsub')}/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": project,
        "PUSH_AUTH": "none",
        "PUSH_AUDIENCE": TOPOLOGY.push_audience,
        "FEEDS_FILE": str(feeds_file(state)),
        "COLLECTOR_URL": ports.url("collector"),
        "WRITER_URL": ports.url("writer"),
        "REPLAYER_URL": ports.url("replayer"),
        "LAUNCHER_URL": ports.url("launcher"),
        "DASHBOARD_URL": ports.url("dashboard"),
    }


def child_environment(parent: Mapping[str, str], shared: Mapping[str, str]) -> dict[str, str]:
    """A child's variables: the parent's, the stack's, loopback only, no proxy between the parts."""
    bypassed = [parent.get("NO_PROXY") or parent.get("no_proxy") or "", LOOPBACK, "localhost"]
    no_proxy = ",".join(filter(None, bypassed))
    return {
        **parent,
        **shared,
        "HOST": LOOPBACK,
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def feeds_toml(feed: str, ports: Ports) -> str:
    """The feeds file: Vélib itself for `live`, else the same system at the local feed server."""
    url = VELIB_DISCOVERY_URL if feed == LIVE else f"{ports.url('feed')}/gbfs.json"
    return "\n".join(
        [
            "[[systems]]",
            'id = "velib"',
            'city_id = "paris"',
            'timezone = "Europe/Paris"',
            f"discovery_url = {json.dumps(url)}",
            "poll_s = 60",
            "",
        ]
    )


def export_lines(values: Mapping[str, str]) -> Iterable[str]:
    """Lines for `eval "$(pmpctl local env)"`."""
    return (f"export {name}={shlex.quote(value)}" for name, value in values.items())


def _table(project: str, name: str) -> str:
    return f"{project}.{TOPOLOGY.dataset_of(name).id}.{name}"
