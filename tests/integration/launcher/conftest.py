"""The features' tables on the BigQuery emulator."""

import pytest

from pmp_runtime.bigquery.queries import query_client
from pmp_schema.features import FeatureTables
from pmp_schema.tables import table
from pmpctl.project.changes import RETRY
from pmpctl.project.tables import api_table
from tests.fakes.bigquery_emulator import bigquery_emulator


class Emulated:
    def __init__(self, running):
        self.rest = running.rest
        self.client = query_client(running.project, running.rest)
        self.tables = FeatureTables.of(running.project)

    def insert(self, name, rows):
        assert self.client.insert_rows_json(self.full(name), rows, timeout=20) == []

    def full(self, name):
        return f"{self.client.project}.{table(name).id}"

    def run(self, sql):
        rows = self.client.query_and_wait(sql, wait_timeout=20, api_timeout=20, retry=RETRY)
        return [dict(row) for row in rows]


@pytest.fixture(scope="session")
def emulated():
    with bigquery_emulator() as running:
        emulated = Emulated(running)
        client = emulated.client
        names = ("raw_events", "station_daily_counts", "station_features", "events")
        for dataset in sorted({table(name).dataset for name in names}):
            client.create_dataset(dataset, timeout=20, retry=RETRY)
        for name in names:
            client.create_table(api_table(table(name), client.project), timeout=20, retry=RETRY)
        yield emulated
