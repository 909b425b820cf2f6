"""Names in topology.json, routes, schema files and view files are the same names."""

from datetime import UTC, datetime
from importlib.resources import files

import pytest

from pmp_collector.app import create_app as create_collector
from pmp_launcher.app import create_app as create_launcher
from pmp_launcher.cloud.executor import SUBMITTED_WITHIN
from pmp_launcher.config import Config as Launching
from pmp_replayer.app import create_app as create_replayer
from pmp_schema import message_rows
from pmp_schema.features.runs import Engine
from pmp_schema.topology import TOPOLOGY
from pmp_writer.app import create_app
from pmp_writer.auth import NoVerifier
from pmp_writer.config import Config
from pmp_writer.handler import Handler
from pmp_writer.sinks import WRITTEN
from tests.fakes.recording import RecordingPublisher, RecordingSink

TABLES = [name for dataset in TOPOLOGY.datasets.values() for name in dataset.tables]
VIEWS = [name for dataset in TOPOLOGY.datasets.values() for name in dataset.views]


def resources(folder, suffix):
    names = [path.name for path in files("pmp_schema").joinpath(folder).iterdir()]
    return {name.removesuffix(suffix) for name in names if name.endswith(suffix)}


def test_every_table_and_view_has_a_file_and_every_file_its_table_or_view():
    assert resources("tables", ".json") == set(TABLES)
    assert resources("views", ".sql") == set(VIEWS)


@pytest.fixture
def client():
    sinks = {name: RecordingSink() for name in WRITTEN}
    handler = Handler(sinks, RecordingPublisher(), lambda: datetime.now(UTC))
    return create_app(handler, NoVerifier(), project="p", check_ready=lambda: None).test_client()


@pytest.mark.parametrize(
    "subscription", [s for s in TOPOLOGY.subscriptions if s.push_path], ids=lambda s: s.id
)
def test_every_push_path_is_a_route_of_the_writer(client, subscription):
    assert client.post(subscription.push_path, data=b"{}").status_code == 400
    assert subscription.push_path == f"/push/{subscription.topic.key}"


def test_every_route_of_the_writer_has_its_push_subscription():
    paths = {s.push_path for s in TOPOLOGY.subscriptions if s.push_path}
    assert paths == {f"/push/{route}" for route in message_rows.BY_ROUTE}


def test_every_table_that_a_route_writes_has_a_sink(client):
    assert set(WRITTEN) <= set(TABLES)
    assert len(WRITTEN) == len(message_rows.BY_ROUTE)


def test_the_writers_time_outs_end_before_pubsub_delivers_again():
    policy = TOPOLOGY.push_policy
    assert Config(project="p").budget_s <= policy.handler_budget_s < policy.ack_deadline_s


def test_schedules_call_routes_that_exist():
    apps = {
        "collector": create_collector(None, None, None, project="p", check_ready=lambda: None),
        "replayer": create_replayer(None, None, None, project="p", check_ready=lambda: None),
        "launcher": create_launcher(
            None, lacking={}, default_engine=Engine.SQL, project="p", check_ready=lambda: None
        ),
    }
    for schedule in TOPOLOGY.schedules:
        if schedule.service in apps:
            assert apps[schedule.service].url_map.bind("localhost").test(schedule.path, schedule.method)


@pytest.mark.parametrize("engine", Engine)
def test_features_are_scheduled_for_one_engine_and_everything_else_for_both(engine):
    active = TOPOLOGY.schedules_of(engine)
    assert [s.body["engine"] for s in active if s.service == "launcher"] == [engine]
    assert [s for s in active if s.service != "launcher"] == [
        s for s in TOPOLOGY.schedules if s.service != "launcher"
    ]


def test_a_feature_run_ends_before_the_next_one_of_its_schedule():
    periods = [s.every_s for s in TOPOLOGY.schedules if s.service == "launcher"]
    assert Launching(project="p").deadline_s < min(periods)


def test_a_schedule_that_waits_for_a_feature_run_waits_until_its_deadline():
    (waiting,) = [s for s in TOPOLOGY.schedules if s.body and s.body.get("wait")]
    assert waiting.timeout_s >= SUBMITTED_WITHIN.total_seconds() + Launching(project="p").deadline_s
