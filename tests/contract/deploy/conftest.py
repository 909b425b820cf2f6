"""`pmpctl --target cloud`: Google's own clients against a project on loopback."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from pmp_runtime.bigquery.queries import query_client
from pmpctl import cli
from pmpctl.cloud.clients import connect
from pmpctl.session import Connections
from tests.fakes.google_cloud import PROJECT, REGION, google_cloud
from tests.fakes.json_server import json_server

LAUNCHER = "pmp-curate-status-launcher"
MINUTELY, DAILY = "pmp-station-status-every-minute", "pmp-station-information-daily"


@pytest.fixture
def cloud():
    with google_cloud() as fake:
        yield fake


@pytest.fixture
def deployed(cloud):
    """As Terraform leaves a project: schedules paused, no job."""
    for schedule in (MINUTELY, DAILY):
        cloud.add_schedule(schedule)
    cloud.add_launcher(LAUNCHER, "curate_status", "--runner=DataflowRunner")
    cloud.add_launcher("update-station-features-launcher", "station_features")
    return cloud


@dataclass
class Pmpctl:
    """`pmpctl ARGUMENTS --target cloud` in this process; gives exit code, standard output and standard error."""

    cloud: Any
    monkeypatch: Any
    capsys: Any
    bigquery: str
    tokens: list[str] = field(default_factory=list)
    new_token: Callable[[], str] | None = None

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        def token(audience, env):
            self.tokens.append(audience)
            return self.new_token() if self.new_token else f"token-for-{audience}"

        with grpc.insecure_channel(self.cloud.address) as channel:
            connections = Connections(
                google=lambda project, region: connect(project, region, channel=channel),
                bigquery=lambda project, _: query_client(project, self.bigquery),
                token=token,
                pause=self.cloud.advance,
            )
            self.monkeypatch.setattr("sys.argv", ["pmpctl", *arguments, "--target", "cloud"])
            with pytest.raises(SystemExit) as ended:
                cli.main(connections)
        said = self.capsys.readouterr()
        return ended.value.code, said.out, said.err


@pytest.fixture
def pmpctl(cloud, monkeypatch, capsys):
    for name in ("PUBSUB_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PROJECT_ID", PROJECT)
    monkeypatch.setenv("REGION", REGION)
    monkeypatch.setenv("COLUMNS", "200")
    with json_server() as without_tables:
        yield Pmpctl(cloud, monkeypatch, capsys, without_tables.url)
