"""The pipeline in containers: what is collected and simulated becomes rows."""

from typing import Any

import httpx
import pytest

from pmp_schema.tables import table
from tests.compose.conftest import Stack
from tests.fakes.waiting import eventually

# The first test also pays for the images and the start.
pytestmark = [pytest.mark.compose, pytest.mark.timeout(1500)]

SERVICES = ("pubsub", "bigquery", "feed-server", "collector", "writer", "launcher", "dashboard", "curation")


def post(stack: Stack, path: str, **body: Any) -> dict[str, Any]:
    # The services answer for themselves: no proxy of the environment.
    with httpx.Client(base_url=stack.url("collector", 8080), timeout=60, trust_env=False) as collector:
        eventually(lambda: healthy(collector))
        return collector.post(path, json=body).raise_for_status().json()


def healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").is_success
    except httpx.TransportError:
        return False


def test_a_collected_snapshot_becomes_a_row(stack: Stack) -> None:
    (result,) = post(stack, "/collect/station_status")["results"]
    assert result["outcome"] == "published"
    wanted = (
        f"SELECT system_id, station_count FROM {table('feed_snapshots').id} "
        f"WHERE message_id = '{result['message_id']}'"
    )
    rows = eventually(lambda: stack.rows(wanted))
    assert rows == [{"system_id": result["system"], "station_count": result["stations"]}]


def test_a_collected_snapshot_is_curated(stack: Stack) -> None:
    count = f"SELECT COUNT(*) AS n FROM {table('station_status').id} WHERE change = 'first'"
    accepted = f"SELECT stations AS n FROM {table('feed_polls').id} WHERE verdict = 'ok'"
    (poll,) = eventually(lambda: stack.rows(accepted))
    assert stack.rows(count) == [poll]


def test_simulated_sensor_events_become_rows(stack: Stack) -> None:
    run = post(stack, "/simulate", events=12, rate_per_s=100, seed=1)["run"]
    count = f"SELECT COUNT(*) AS n FROM {table('raw_events').id} WHERE STARTS_WITH(event_id, 'e-{run}-')"
    eventually(lambda: stack.rows(count) == [{"n": 12}])


def test_the_scheduler_collects_station_information_at_its_start(stack: Stack) -> None:
    stack.up("scheduler")
    count = f"SELECT COUNT(DISTINCT station_id) AS n FROM {table('station_information').id}"
    feed = httpx.get(
        f"{stack.url('feed-server', 8086)}/station_information.json", trust_env=False, timeout=20
    )
    expected = len({station["station_id"] for station in feed.json()["data"]["stations"]})
    assert expected > 0
    eventually(lambda: stack.rows(count) == [{"n": expected}])


def test_nothing_was_dead_lettered(stack: Stack) -> None:
    assert stack.rows(f"SELECT reason, detail FROM {table('dead_letters').id}") == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_runs_without_root_on_a_read_only_file_system(stack: Stack, service: str) -> None:
    assert stack.inside(service, "id", "-u") != "0"
    root = stack.inside(service, "sh", "-c", "grep ' / ' /proc/mounts").split()
    assert "ro" in root[3].split(",")


def test_setting_up_a_second_time_changes_nothing(stack: Stack) -> None:
    assert stack.compose("run", "--rm", "-T", "setup").strip() == "nothing to change"


def test_rows_survive_a_new_bigquery_container(stack: Stack) -> None:
    # The scheduler runs by now, so that derived rides go on arriving.
    count = f"SELECT COUNT(*) AS n FROM {table('raw_events').id} WHERE source = 'simulator'"
    before = stack.rows(count)
    assert before != [{"n": 0}]
    stack.compose("rm", "--force", "--stop", "bigquery")
    stack.compose("up", "-d", "--no-deps", "bigquery")

    def answers() -> bool:
        with httpx.Client(base_url=stack.url("bigquery", 9050), timeout=5, trust_env=False) as client:
            try:
                return client.get("/healthz").is_success
            except httpx.TransportError:
                return False

    eventually(answers)
    assert stack.rows(count) == before
