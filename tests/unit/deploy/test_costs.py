import re
from datetime import UTC, datetime
from importlib.resources import files

import pytest

from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud.dataflow import Job
from pmpctl.cloud.services import Service
from pmpctl.cost.estimate import Estimate
from pmpctl.cost.prices import load_prices
from pmpctl.cost.usage import Traffic, Usage

NOON = datetime(2026, 1, 24, 12, tzinfo=UTC)
MONTH_DAYS = 730 / 24
SENSORS, SNAPSHOTS = (TOPOLOGY.topics[name].id for name in ("sensor-events", "snapshots"))
WRITER = Service(
    id="pmp-writer", ready=True, revision="", url="", min_instances=2, cpus=2, memory_gib=4, detail=""
)
CURATION = Job(id="1", name="pmp-curate-status", state="RUNNING", streaming=True, since=NOON, created=NOON)
GIB = 1024**3


def costs(usage):
    return {
        cost.component: (cost.list_usd, cost.billed_usd, cost.per_million_usd)
        for cost in Estimate(usage, load_prices()).components()
    }


def approx(*values):
    return pytest.approx(values, abs=1e-9)


def test_a_tenth_of_a_month_in_the_cloud_is_ten_times_as_much_a_month():
    usage = Usage(
        days=MONTH_DAYS / 10,
        traffic=Traffic(
            messages={SENSORS: 100_000, SNAPSHOTS: 4_000}, feed_bytes={SNAPSHOTS: 3 * GIB}, polls=5_000
        ),
        table_bytes=20 * GIB,
        schedules=(5, 1),
        services=(WRITER,),
        requests={"pmp-writer": 4e5},
        instance_seconds={"pmp-writer": 1e5},
        scanned_bytes=0.3 * 1024**4,
        job_hours=73.0,
        jobs=(CURATION,),
    )
    messages = 1.04  # million a month
    deliveries = {
        topic: sum(s.topic.id == topic and s.mode == "always" for s in TOPOLOGY.subscriptions)
        for topic in (SENSORS, SNAPSHOTS)
    }
    published = {SENSORS: 1e6 * 1000, SNAPSHOTS: 30 * GIB}
    moved = sum((1 + deliveries[topic]) * size for topic, size in published.items())
    pubsub, writes = moved / 2**40 * 40, sum(published.values()) / GIB * 0.025
    run = 4 * 0.40 + 2e6 * 0.000024 + 4e6 * 0.0000025
    dataflow = 730 * (2 * 0.069 + 8 * 0.003557 + 30 * 0.000054) + 90 * 0.018
    assert costs(usage) == {
        "Pub/Sub": approx(pubsub, pubsub - 10 / 1024 * 40, pubsub / messages),
        "Dataflow": (pytest.approx(dataflow), pytest.approx(dataflow), None),
        "Cloud Run": approx(run, 2 * 0.40 + 1.82e6 * 0.000024 + 3.64e6 * 0.0000025, run / messages),
        "BigQuery writes": approx(writes, 0, writes / messages),
        "BigQuery storage": (pytest.approx(0.4), pytest.approx(0.2), None),
        "BigQuery queries": (pytest.approx(3 * 6.25), pytest.approx(2 * 6.25), None),
        "Cloud Scheduler": (pytest.approx(0.5), pytest.approx(0.2), None),
    }
    job, instances = Estimate(usage, load_prices()).running()
    assert (job.what, job.month_usd) == (
        "Dataflow job pmp-curate-status (RUNNING)",
        pytest.approx(dataflow - 90 * 0.018),
    )
    assert (instances.what, instances.month_usd) == (
        "2 minimum instances of pmp-writer",
        pytest.approx(2 * 730 * 3600 * (2 * 0.0000025 + 4 * 0.0000025)),
    )


def test_without_metrics_requests_are_pushed_messages_and_polls():
    traffic = Traffic(messages={SENSORS: 3_000_000}, feed_bytes={}, polls=5)
    usage = Usage(days=MONTH_DAYS, traffic=traffic, table_bytes=0, schedules=(0, 0))
    measured = {cost.component: cost.measured for cost in Estimate(usage, load_prices()).components()}
    assert measured["Cloud Run"] == "3,000,005 requests, 300,000 vCPU seconds (by messages)"
    assert measured["BigQuery queries"] == "not measured"


def test_nothing_costs_nothing():
    traffic = Traffic(messages={}, feed_bytes={}, polls=0)
    usage = Usage(days=1, traffic=traffic, table_bytes=0, schedules=(0, 0))
    assert set(costs(usage).values()) == {(0, 0, None)}


def test_every_table_is_measured():
    sql = files("pmpctl.cost").joinpath("sql", "table_sizes.sql").read_text("utf-8")
    assert re.findall(r"\{(\w+)\}", sql) == [t for d in TOPOLOGY.datasets.values() for t in d.tables]
