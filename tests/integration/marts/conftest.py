"""An emulator with all tables and views, shared by the tests of this folder; each test has a system of its own."""

import itertools
import json
import re
from datetime import UTC, datetime

import pytest

from pmp_runtime.bigquery.queries import query_client
from pmp_schema.tables import table
from pmp_schema.topology import TOPOLOGY
from pmpctl.project.changes import RETRY
from pmpctl.project.tables import prepare_tables
from tests.fakes.bigquery_emulator import bigquery_emulator

DEFAULTS = {
    "feed_snapshots": {"event_type": "station_status_snapshot", "message_id": "m"},
    "feed_polls": {"feed_ts_source": "last_updated", "verdict": "ok"},
    "station_status": {"change": "counts"},
}


class Marts:
    """The tables and views of one system: inserts rows and reads views."""

    def __init__(self, client, system):
        self.client = client
        self.system = system
        self._ids = itertools.count()

    def insert(self, name, *rows):
        """Inserts rows; required columns that are not given get a default."""
        columns = [column.name for column in table(name).columns]
        values = [f"({self._row(name, columns, row)})" for row in rows]
        self.query(
            f"INSERT INTO `{self.client.project}.{table(name).id}` ({', '.join(columns)}) VALUES {', '.join(values)}"
        )

    def view(self, name, columns="*", *, which=None):
        """The rows of a view for the system, or for another condition."""
        path = f"`{self.client.project}.{TOPOLOGY.dataset_of(name).id}.{name}`"
        which = which or f"system_id = '{self.system}'"
        return self.query(f"SELECT {columns} FROM {path} WHERE {which}")

    def query(self, sql):
        # Not query_and_wait: with the emulator (1.4) that turns a failed query into one without rows.
        job = self.client.query(sql, timeout=20, retry=RETRY, job_retry=None)
        rows = job.result(timeout=20, retry=RETRY, job_retry=None)
        return [dict(row) for row in rows]

    def _row(self, name, columns, row):
        given = {"system_id": self.system, "event_id": f"{self.system}-{next(self._ids)}"}
        given |= {"ingest_ts": row.get("feed_ts") or datetime.now(UTC)} | DEFAULTS.get(name, {}) | row
        kinds = {column.name: column for column in table(name).columns}
        return ", ".join(literal(kinds[column], given.get(column)) for column in columns)


def literal(column, value):
    if column.mode == "REPEATED":
        return "[" + ", ".join(f"'{item}'" for item in value or ()) + "]"
    if value is None:
        return "NULL"
    if column.type == "TIMESTAMP":
        return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S.%f}+00'"
    if column.type == "JSON":
        return f"JSON '{json.dumps(value)}'"
    return str(value) if column.type in {"INTEGER", "FLOAT", "BOOLEAN"} else f"'{value}'"


@pytest.fixture(scope="session")
def warehouse():
    with bigquery_emulator() as running:
        client = query_client(running.project, running.rest)
        prepare_tables(client, TOPOLOGY, location="EU", emulated=True)
        yield client


@pytest.fixture
def marts(warehouse, request):
    return Marts(warehouse, re.sub(r"\W", "-", request.node.name))
