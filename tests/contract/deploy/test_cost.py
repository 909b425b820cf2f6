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


class Counted:
    """What publishers and the collector counted in the two days."""

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


class Tables:
    """Every table but the first holds a GiB; that one has no size."""

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
            return usage.cloud_usage(google, Tables(), Counted(), SINCE, NOON)

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


def test_the_report_adds_up_and_names_what_runs(cloud, used):
    cloud.add_job("pmp-curate-status", "RUNNING", number=72)
    estimate = Estimate(used(), load_prices())
    found = report.as_json(estimate)
    assert found["list_usd"] == pytest.approx(sum(c["list_usd"] for c in found["components"]), abs=0.001)
    console = Console(file=StringIO(), width=160)
    report.show(estimate, console)
    shown = console.file.getvalue()
    assert f"{found['list_usd']:,.2f}" in shown
    assert "runs now: Dataflow job pmp-curate-status (RUNNING): 122.70 USD a month if it is left on" in shown
