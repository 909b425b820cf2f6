"""BigQuery behind Google's client: the features' statements, and the staging table of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.cloud import bigquery

from pmp_beam.io.storage import once_per_process
from pmp_runtime.bigquery.queries import query_client, transient
from pmp_runtime.bigquery.statements import run_statement
from pmp_schema.features import Statement
from pmp_schema.tables import table

STAGING_LIFE: Final = timedelta(days=1)
_CALL_TIMEOUT_S: Final = 30.0
_CALLS: Final = transient(60.0)
_CONFLICTS_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class WarehouseSource:
    """Makes the warehouse where it is needed: a client cannot travel to a worker.

    Attributes:
        emulator: URL of a BigQuery emulator; None for Google's.
        timeout_s: seconds for one statement.
    """

    project: str
    emulator: str | None
    timeout_s: float

    def __call__(self) -> "BigQueryWarehouse":
        return _warehouse(self)


class BigQueryWarehouse:
    """A `StatementRunner`. A statement that loses against a concurrent one is run again, for some minutes."""

    def __init__(self, client: bigquery.Client, *, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    def query(self, statement: Statement) -> Sequence[Mapping[str, Any]]:
        """The rows of a statement, none for DML."""
        return run_statement(
            self._client,
            statement,
            call_s=_CALL_TIMEOUT_S,
            statement_s=self._timeout_s,
            conflicts_s=_CONFLICTS_S,
        )

    def create_staging(self, staging: str) -> None:
        """Makes an empty table with the columns of station_features, which is dropped by itself after a day."""
        columns = [bigquery.SchemaField.from_api_repr(one) for one in table("station_features").api_schema()]
        new = bigquery.Table(staging, schema=columns)
        new.expires = datetime.now(UTC) + STAGING_LIFE
        self._client.create_table(new, exists_ok=True, timeout=_CALL_TIMEOUT_S, retry=_CALLS)

    def drop_staging(self, staging: str) -> None:
        """Drops a staging table that is not needed any more."""
        self._client.delete_table(staging, not_found_ok=True, timeout=_CALL_TIMEOUT_S, retry=_CALLS)

    def row_count(self, name: str) -> int:
        """Rows of a table, about: those that came within the last hour may be missing."""
        return int(self._client.get_table(name, timeout=_CALL_TIMEOUT_S, retry=_CALLS).num_rows or 0)


@once_per_process
def _warehouse(source: WarehouseSource) -> BigQueryWarehouse:
    return BigQueryWarehouse(query_client(source.project, source.emulator), timeout_s=source.timeout_s)
