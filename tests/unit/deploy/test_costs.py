import re
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files

import pytest

from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud.dataflow import Job
from pmpctl.cloud.services import Service
from pmpctl.cost.estimate import Estimate
from pmpctl.cost.prices import load_prices
from pmpctl.cost.usage import Traffic, Usage
from pmpctl.errors import CommandError

NOON = datetime(2026, 1, 24, 12, tzinfo=UTC)
MONTH_DAYS = 730 / 24
NOTHING = Usage(
    days=MONTH_DAYS,
    traffic=Traffic(messages={}, feed_bytes={}, polls=0),
    table_bytes=0,
    schedules=(0, 0),
)


def costs(usage, prices=None):
    return {cost.component: cost for cost in Estimate(usage, prices or load_prices()).components()}


def traffic(messages, feed_bytes=None, polls=0):
    return replace(NOTHING, traffic=Traffic(messages=messages, feed_bytes=feed_bytes or {}, polls=polls))


def test_nothing_costs_nothing():
    assert [(c.list_usd, c.billed_usd, c.per_million_usd) for c in costs(NOTHING).values()] == [
        (0, 0, None)
    ] * 7


def test_pubsub_counts_a_message_once_published_and_once_for_each_subscription():
    topic = TOPOLOGY.topics["sensor-events"].id
    (subscription,) = [s for s in TOPOLOGY.subscriptions if s.topic.id == topic and s.mode == "always"]
    assert subscription
    cost = costs(traffic({topic: 1_000_000}))["Pub/Sub"]
    assert cost.list_usd == pytest.approx(2 * 1e6 * 1000 / 2**40 * 40)
    assert cost.billed_usd == 0  # below the ten free GiB
    assert cost.per_million_usd == pytest.approx(cost.list_usd)


def test_feed_bodies_count_by_their_bytes():
    topic = TOPOLOGY.topics["snapshots"].id
    cost = costs(traffic({topic: 43_200}, {topic: 43_200 * 800_000}))
    deliveries = sum(s.topic.id == topic and s.mode == "always" for s in TOPOLOGY.subscriptions)
    published = 43_200 * 800_000
    assert cost["Pub/Sub"].list_usd == pytest.approx((1 + deliveries) * published / 2**40 * 40)
    assert cost["BigQuery writes"].list_usd == pytest.approx(published / 2**30 * 0.025)


def test_fewer_days_are_made_a_month():
    topic = TOPOLOGY.topics["snapshots"].id
    week = replace(traffic({topic: 10}), days=MONTH_DAYS / 10)
    assert costs(week)["Pub/Sub"].list_usd == pytest.approx(costs(traffic({topic: 100}))["Pub/Sub"].list_usd)


def test_dataflow_costs_by_the_hour():
    cost = costs(replace(NOTHING, job_hours=730.0))["Dataflow"]
    assert cost.list_usd == pytest.approx(730 * (2 * 0.069 + 8 * 0.003557 + 30 * 0.000054))
    assert cost.list_usd == pytest.approx(load_prices().streaming_job_month_usd)
    assert cost.per_million_usd is None


def test_cloud_run_is_measured_where_it_tells_and_reckoned_by_messages_where_not():
    topic = TOPOLOGY.topics["sensor-events"].id
    reckoned = replace(traffic({topic: 3_000_000}, polls=5))
    assert costs(reckoned)["Cloud Run"].measured.startswith("3,000,005 requests, 300,000 vCPU seconds (by")
    writer = Service(
        id="pmp-writer", ready=True, revision="", url="", min_instances=0, cpus=2, memory_gib=4, detail=""
    )
    measured = replace(
        NOTHING, services=(writer,), requests={"pmp-writer": 4e6}, instance_seconds={"pmp-writer": 1e6}
    )
    cost = costs(measured)["Cloud Run"]
    assert cost.list_usd == pytest.approx(4 * 0.40 + 2e6 * 0.000024 + 4e6 * 0.0000025)
    assert cost.billed_usd == pytest.approx(2 * 0.40 + 1.82e6 * 0.000024 + 3.64e6 * 0.0000025)


def test_schedules_beyond_the_free_ones_are_billed():
    cost = costs(replace(NOTHING, schedules=(5, 1)))["Cloud Scheduler"]
    assert (cost.measured, cost.list_usd, cost.billed_usd) == ("5 schedules, 1 enabled", 0.5, 0.2)


def test_what_runs_now_is_streaming_jobs_and_minimum_instances():
    job = Job(id="1", name="pmp-curate-status", state="RUNNING", streaming=True, since=NOON, created=NOON)
    service = Service(
        id="pmp-writer", ready=True, revision="", url="", min_instances=2, cpus=1, memory_gib=2, detail=""
    )
    usage = replace(NOTHING, jobs=(job, replace(job, streaming=False)), services=(service,))
    prices = load_prices()
    running = Estimate(usage, prices).running()
    assert [r.what for r in running] == [
        "Dataflow job pmp-curate-status (RUNNING)",
        "2 minimum instances of pmp-writer",
    ]
    assert running[0].month_usd == prices.streaming_job_month_usd
    assert running[1].month_usd == pytest.approx(2 * 730 * 3600 * (0.0000025 + 2 * 0.0000025))


def test_every_price_says_where_it_is_from():
    table = load_prices()
    assert all(price.page.startswith("https://cloud.google.com/") for price in table.prices.values())
    assert all(price.usd > 0 and price.per > 0 and price.free >= 0 for price in table.prices.values())


def test_a_file_of_prices_replaces_what_it_names(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text("[prices.scheduler]\nusd = 1.0\n[assumptions]\ndataflow_workers = 3\n", "utf-8")
    own, built_in = load_prices(path), load_prices()
    assert (own["scheduler"].usd, own["scheduler"].free) == (1.0, 3)
    assert own.streaming_job_month_usd == pytest.approx(3 * built_in.streaming_job_month_usd)
    assert own["pubsub"] == built_in["pubsub"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prices.tea]\nusd = 1.0\n", "unknown: tea"),
        ("[assumptions]\ntea = 1\n", "unknown: tea"),
        ("[tea]\n", "unknown: tea"),
        ("[prices.scheduler]\ndollars = 1\n", "unknown in scheduler: dollars"),
        ("[prices.scheduler]\nusd = 'much'\n", "scheduler: usd is no number"),
        ("not toml", "Expected '=' after a key"),
    ],
)
def test_a_file_that_is_no_price_table_is_refused(tmp_path, text, said):
    path = tmp_path / "prices.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(CommandError) as refused:
        load_prices(path)
    assert str(refused.value).startswith(f"{path}: {said}")


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        load_prices(tmp_path / "none.toml")


def test_every_table_is_measured():
    sql = files("pmpctl.cost").joinpath("sql", "table_sizes.sql").read_text("utf-8")
    assert re.findall(r"\{(\w+)\}", sql) == [t for d in TOPOLOGY.datasets.values() for t in d.tables]
