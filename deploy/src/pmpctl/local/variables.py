"""The variables by which the parts of a local stack and its user find each other."""

import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pmp_schema.topology import TOPOLOGY
from pmpctl.local.ports import LOOPBACK, Ports

SIMULATED: Final = "simulated"
LIVE: Final = "live"
# Vélib Métropole's open data, GBFS 1.0: https://www.velib-metropole.fr/donnees-open-data-gbfs-du-service-velib-metropole
VELIB_DISCOVERY_URL: Final = (
    "https://velib-metropole-opendata.smovengo.cloud/opendata/Velib_Metropole/gbfs.json"
)
# Marks a PUBSUB_EMULATOR_HOST that is a stack's own.
STACK_PUBSUB: Final = "PMP_STACK_PUBSUB"
_REGION: Final = "europe-west1"


def variables(ports: Ports, state: Path, pubsub: str | None = None) -> dict[str, str]:
    """Every variable that the services, the commands and a person's shell share.

    Args:
        state: the stack's state folder.
        pubsub: `host:port` of a Pub/Sub emulator that is not the stack's own.
    """
    project = TOPOLOGY.local_project
    account = f"pmp-push@{project}.iam.gserviceaccount.com"
    pubsub_address = pubsub or ports.address("pubsub")
    return {
        "PROJECT_ID": project,
        "REGION": _REGION,
        "PUBSUB_EMULATOR_HOST": pubsub_address,
        "BIGQUERY_EMULATOR_HOST": ports.url("bigquery"),
        "BIGQUERY_STORAGE_EMULATOR_HOST": ports.address("bigquery-grpc"),
        "RAW_EVENT_TABLE": _table(project, "raw_events"),
        "FEATURES_TABLE": _table(project, "station_features"),
        "PUBSUB_TOPIC": TOPOLOGY.topics["sensor-events"].path(project),
        "SUBSCRIPTION": TOPOLOGY.push_subscription("sensor-events").path(project),
        "PORT": "8080",  # of a container; the stack gives each service its own
        "BUCKET": (state / "bucket").as_uri(),
        "SA": account,
        "PUSH_SERVICE_ACCOUNT": account,
        "INJECT_SENSOR_DATA_JOB_NAME": TOPOLOGY.jobs["ingest_events"],
        "FEATURE_ENGINEERING_JOB_NAME": TOPOLOGY.jobs["station_features"],
        STACK_PUBSUB: "" if pubsub else pubsub_address,
        # `gcloud pubsub topics publish` then reaches the emulator.
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"http://{pubsub_address}/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": project,
        "PUSH_AUTH": "none",
        "PUSH_AUDIENCE": TOPOLOGY.push_audience,
        "FEEDS_FILE": str(feeds_file(state)),
        **{f"{key.upper()}_URL": ports.url(key) for key in TOPOLOGY.services},
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


def feeds_file(state: Path) -> Path:
    return state / "feeds.toml"


def feeds_toml(feed: str, ports: Ports) -> str:
    """The feeds file: Vélib itself for `live`, else the same system at the local feed server."""
    url = VELIB_DISCOVERY_URL if feed == LIVE else f"{ports.url('feed')}/gbfs.json"
    lines = (
        "[[systems]]",
        'id = "velib"',
        'city_id = "paris"',
        'timezone = "Europe/Paris"',
        f"discovery_url = {json.dumps(url)}",
        "poll_s = 60",
    )
    return "".join(f"{line}\n" for line in lines)


def export_lines(values: Mapping[str, str]) -> Iterable[str]:
    """Lines for `eval "$(pmpctl local env)"`."""
    return (f"export {name}={shlex.quote(value)}" for name, value in values.items())


def _table(project: str, name: str) -> str:
    return f"{project}.{TOPOLOGY.dataset_of(name).id}.{name}"
