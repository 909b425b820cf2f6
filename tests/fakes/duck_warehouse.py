"""The SQL of the features on DuckDB, in this process: fast, and as lenient as DuckDB is."""

from functools import cache

import duckdb
import pyarrow as pa
import sqlglot

from pmp_schema.features import FeatureTables
from pmp_schema.tables import table

TYPES = {
    "STRING": "VARCHAR",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "TIMESTAMP": "TIMESTAMPTZ",
    "DATE": "DATE",
    "JSON": "VARCHAR",
}


@cache
def translated(sql):
    [statement] = sqlglot.transpile(sql, read="bigquery", write="duckdb")
    return statement


NAMES = ("raw_events", "station_daily_counts", "station_features")


class Duck:
    """A `StatementRunner` in memory; `tables` names its tables, `staging` has the columns of station_features."""

    tables = FeatureTables(**{name: name for name in NAMES})
    staging = "staging"

    def __init__(self):
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute("SET TimeZone = 'UTC'")
        for name in NAMES:
            self._create(name, table(name))
        self._create(self.staging, table("station_features"))

    def _create(self, name, schema):
        columns = ", ".join(f"{column.name} {TYPES[column.type]}" for column in schema.columns)
        self.connection.execute(f"CREATE TABLE {name} ({columns})")

    def insert(self, name, rows):
        if rows:
            self.connection.register("given", pa.Table.from_pylist(rows))
            self.connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM given")

    def empty(self):
        for name in (*NAMES, self.staging):
            self.connection.execute(f"DELETE FROM {name}")

    def query(self, statement):
        parameters = {
            one.name: list(one.value) if isinstance(one.value, tuple) else one.value
            for one in statement.parameters
        }
        return self._fetch(translated(statement.sql), parameters)

    def rows(self, name):
        return self._fetch(f"SELECT * FROM {name}", {})

    def _fetch(self, sql, parameters):
        found = self.connection.execute(sql, parameters)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
