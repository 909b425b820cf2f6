"""The features' tables and views on the BigQuery emulator, empty for every test."""

import pytest
from google.cloud import bigquery

from pmp_runtime.bigquery.queries import query_client
from pmp_schema.features import FeatureTables
from pmp_schema.tables import table, view_sql
from pmpctl.project.changes import RETRY
from pmpctl.project.tables import api_table
from tests.fakes.bigquery_emulator import bigquery_emulator

TABLES = ("raw_events", "station_daily_counts", "station_features", "events")
VIEWS = {
    "station_features_latest": "pmp_features",
    "station_features_wide": "pmp_features",
    "feature_runs": "pmp_ops",
}


class Emulated:
    """A `StatementRunner` behind Google's client."""

    def __init__(self, client):
        self.client = client
        self.tables = FeatureTables.of(client.project)
        self.staging = f"{client.project}.pmp_features.staging"

    def insert(self, name, rows):
        for first in range(0, len(rows), 200):
            chunk = [{key: _json(value) for key, value in row.items()} for row in rows[first : first + 200]]
            full = self.staging if name == "staging" else f"{self.client.project}.{table(name).id}"
            assert self.client.insert_rows_json(full, chunk, timeout=20) == []

    def query(self, statement):
        config = bigquery.QueryJobConfig(query_parameters=[_parameter(one) for one in statement.parameters])
        job = self.client.query(statement.sql, config, timeout=20, retry=RETRY, job_retry=None)
        return [dict(row) for row in job.result(timeout=30, retry=RETRY, job_retry=None)]

    def rows(self, name):
        return self.run(f"SELECT * FROM `{self.client.project}.{table(name).id}`")

    def view(self, name):
        return self.run(f"SELECT * FROM `{self.client.project}.{VIEWS[name]}.{name}`")

    def run(self, sql):
        rows = self.client.query_and_wait(sql, wait_timeout=20, api_timeout=20, retry=RETRY)
        return [dict(row) for row in rows]

    def empty(self):
        for name in TABLES:
            self.run(f"DELETE FROM `{self.client.project}.{table(name).id}` WHERE TRUE")
        self.run(f"DELETE FROM `{self.staging}` WHERE TRUE")


def _json(value):
    return value.isoformat() if hasattr(value, "isoformat") else value


def _parameter(one):
    if isinstance(one.value, tuple):
        return bigquery.ArrayQueryParameter(one.name, one.type, list(one.value))
    return bigquery.ScalarQueryParameter(one.name, one.type, one.value)


@pytest.fixture(scope="session")
def emulated():
    with bigquery_emulator() as running:
        client = query_client(running.project, running.rest)
        for dataset in sorted({table(name).dataset for name in TABLES}):
            client.create_dataset(dataset, timeout=20, retry=RETRY)
        for name in TABLES:
            client.create_table(api_table(table(name), client.project), timeout=20, retry=RETRY)
        warehouse = Emulated(client)
        staging = bigquery.Table(warehouse.staging, schema=api_table(table("station_features"), "p").schema)
        client.create_table(staging, timeout=20, retry=RETRY)
        for name, dataset in VIEWS.items():
            view = bigquery.Table(f"{client.project}.{dataset}.{name}")
            view.view_query = view_sql(name, client.project)
            client.create_table(view, timeout=20, retry=RETRY)
        yield warehouse


@pytest.fixture
def warehouse(emulated):
    emulated.empty()
    return emulated
