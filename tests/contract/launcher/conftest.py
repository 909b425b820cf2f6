"""Google's clients in front of strict fakes of BigQuery's jobs and Cloud Run."""

from datetime import UTC, date, datetime, timedelta

import pytest

from pmp_launcher.cloud.cloud_run_work import CloudRunWork
from pmp_launcher.cloud.executor import ClaimedExecutor
from pmp_launcher.cloud.jobs import Jobs
from pmp_launcher.cloud.sql_work import SqlWork
from pmp_schema.features import FeatureTables
from pmp_schema.features.runs import Engine, Wanted
from pmp_schema.topology import TOPOLOGY
from tests.fakes.bigquery_jobs import bigquery_jobs
from tests.fakes.cloud_run import cloud_run

AS_OF = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)
DEADLINE_S = 1200


class Clock:
    def __init__(self):
        self.now = AS_OF + timedelta(seconds=30)

    def __call__(self):
        return self.now

    def forward(self, **length):
        self.now += timedelta(**length)


class Closed:
    """A `StatementRunner` whose days are closed; it counts what it is asked."""

    def __init__(self):
        self.asked = 0

    def query(self, statement):
        self.asked += 1
        return [{"closed_through": date(2025, 11, 15)}] if "closed_through" in statement.sql else []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def wanted():
    def make(engine):
        return Wanted(engine=engine, as_of=AS_OF, known_at=AS_OF - timedelta(microseconds=59_000_001))

    return make


@pytest.fixture
def bigquery(clock):
    with bigquery_jobs() as fake:
        fake.clock = lambda: clock().timestamp()
        yield fake


@pytest.fixture
def run_service():
    with cloud_run(
        f"projects/pmp-test/locations/europe-west1/jobs/{TOPOLOGY.launchers['station_features']}"
    ) as fake:
        yield fake


@pytest.fixture
def told():
    """How attempts have ended, by their id, as events tell; or why that is not known."""
    return {}


@pytest.fixture
def instance(bigquery, clock, told):
    """Makes an executor as an instance of the service has it."""

    def ask(run):
        end = told.get(run.attempt_id)
        if isinstance(end, Exception):
            raise end
        return end

    def make(work=None, *, timeout_s=2.0):
        jobs = Jobs(bigquery.client, "pmp_features", timeout_s=timeout_s)
        work = work or SqlWork(jobs, Closed(), FeatureTables.of("pmp-test"), clock)
        return ClaimedExecutor(jobs, work, told=ask, deadline_s=DEADLINE_S, now=clock)

    return make


@pytest.fixture
def cloud_run_work(run_service):
    return CloudRunWork(run_service.jobs, run_service.executions_client, run_service.job, timeout_s=5)


@pytest.fixture
def sql(wanted):
    return wanted(Engine.SQL)


@pytest.fixture
def beam(wanted):
    return wanted(Engine.BEAM)
