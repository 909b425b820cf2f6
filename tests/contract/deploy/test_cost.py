"""What a month costs, from a project's metrics, jobs and tables."""

from dataclasses import dataclass
from datetime import timedelta
from io import StringIO

import grpc
import pytest
from rich.console import Console

from pmp_schema.topology import TOPOLOGY
from pmpctl.cloud.clients import connect
from pmpctl.cost import report, usage
from pmpctl.cost.estimate import Estimate
from pmpctl.cost.prices import load_prices
from tests.fakes.google_cloud import NOON, PROJECT, REGION

SINCE = NOON - timedelta(days=2)
TABLES = [table for dataset in TOPOLOGY.datasets.values() for table in dataset.tables]
EVENTS, SENSORS = "pmp-events", "pmp-sensor-events"


class Told:
    """What publishers and the collector told of the two days."""

    def rows(self, name, **parameters):
        assert parameters == {"since": ("TIMESTAMP", SINCE)}
        answers = {
            "published": [{"topic": EVENTS, "messages": 2000}, {"topic": SENSORS, "messages": 100_000}],
            "polled": [{"feed": "station_status", "polls": 2880, "published_bytes": 1_000_000_000}],
        }
        return iter(answers[name])


@dataclass(frozen=True)
class Stored:
    num_bytes: int | None


class Warehouse:
    """Every table holds a GiB; a view of another kind tells no size."""

    project = PROJECT

    def get_table(self, name, *, timeout, retry):
        assert timeout
        assert retry
        return Stored(None if name.endswith(TABLES[0]) else 1024**3)


@pytest.fixture
def used(cloud):
    def measure():
        with grpc.insecure_channel(cloud.address) as channel:
            google = connect(PROJECT, REGION, channel=channel)
            return usage.cloud_usage(google, Warehouse(), Told(), SINCE, NOON)

    return measure


def test_only_the_hours_of_streaming_jobs_within_the_days_count(cloud, used):
    cloud.add_job("pmp-curate-status", "RUNNING", number=72)  # since a day before the window
    cloud.add_job("pmp-curate-status", "DRAINED", number=6)  # until noon
    cloud.add_job("pmp-station-features-run", "RUNNING", batch=True, number=6)
    cloud.add_job("somebody-elses", "RUNNING", number=6)
    assert used().job_hours == 48 + 6


def test_metrics_are_added_up_by_service(cloud, used):
    cloud.add_series("run.googleapis.com/request_count", {"service_name": "pmp-writer"}, 10)
    cloud.add_series("run.googleapis.com/request_count", {"service_name": "pmp-writer"}, 5)
    cloud.add_series("run.googleapis.com/request_count", {"service_name": "pmp-collector"}, 1)
    cloud.add_series("run.googleapis.com/container/billable_instance_time", {"service_name": "w"}, 2.5, 4)
    cloud.add_series("bigquery.googleapis.com/query/scanned_bytes_billed", {}, 7, 8)
    measured = used()
    assert measured.requests == {"pmp-writer": 15, "pmp-collector": 1}
    assert measured.instance_seconds == {"w": 6.5}
    assert measured.scanned_bytes == 15
    assert measured.table_bytes == (len(TABLES) - 1) * 1024**3


def test_a_month_is_what_was_measured_at_list_prices(cloud, used):
    cloud.add_job("pmp-curate-status", "RUNNING", number=72)
    cloud.add_service("pmp-writer", minimum=1)
    cloud.add_schedule("pmp-reconcile")
    prices = load_prices()
    estimate = Estimate(used(), prices)
    by_name = {cost.component: cost for cost in estimate.components()}
    assert by_name["Dataflow"].list_usd == pytest.approx(
        prices.streaming_job_month_usd + 730 / 48 * 3 * prices["dataflow_data"].list_usd(1e9)
    )
    told = {running.what for running in estimate.running()}
    assert told == {"Dataflow job pmp-curate-status (RUNNING)", "1 minimum instances of pmp-writer"}


def test_the_report_adds_up_and_names_what_runs(cloud, used):
    cloud.add_job("pmp-curate-status", "RUNNING", number=72)
    estimate = Estimate(used(), load_prices())
    told = report.as_json(estimate)
    assert told["list_usd"] == pytest.approx(sum(c["list_usd"] for c in told["components"]), abs=0.001)
    console = Console(file=StringIO(), width=160)
    report.show(estimate, console)
    shown = console.file.getvalue()
    assert f"{told['list_usd']:,.2f}" in shown
    assert "runs now: Dataflow job pmp-curate-status (RUNNING): 122.70 USD a month if it is left on" in shown
