"""BigQuery for one run: its statements and its staging table."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from google.cloud import bigquery

from pmp_beam.io.storage import once_per_process
from pmp_runtime.bigquery.queries import query_client, transient
from pmp_runtime.bigquery.statements import BigQueryStatements
from pmp_schema.tables import table

STAGING_LIFE: Final = timedelta(days=1)
_CALL_TIMEOUT_S: Final = 30.0
_CALLS: Final = transient(60.0)
_CONFLICTS_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class RunBigQuerySource:
    """Makes it where it is needed: a client cannot be sent to a worker.

    Attributes:
        emulator: URL of a BigQuery emulator; None for Google's.
        timeout_s: seconds for one statement.
    """

    project: str
    emulator: str | None
    timeout_s: float

    def __call__(self) -> "RunBigQuery":
        return _run_bigquery(self)


class RunBigQuery(BigQueryStatements):
    """Statements, and the staging table of a run."""

    def create_staging(self, staging: str) -> None:
        """Makes an empty table with the columns of station_features, which is dropped by itself after a day."""
        columns = [bigquery.SchemaField.from_api_repr(one) for one in table("station_features").api_schema()]
        new = bigquery.Table(staging, schema=columns)
        new.expires = datetime.now(UTC) + STAGING_LIFE
        self.client.create_table(new, exists_ok=True, timeout=_CALL_TIMEOUT_S, retry=_CALLS)

    def drop_staging(self, staging: str) -> None:
        """Drops a staging table that is not needed any more."""
        self.client.delete_table(staging, not_found_ok=True, timeout=_CALL_TIMEOUT_S, retry=_CALLS)

    def row_count(self, name: str) -> int:
        """Rows of a table, about: those that came within the last hour may be missing."""
        return int(self.client.get_table(name, timeout=_CALL_TIMEOUT_S, retry=_CALLS).num_rows or 0)


@once_per_process
def _run_bigquery(source: RunBigQuerySource) -> RunBigQuery:
    return RunBigQuery(
        query_client(source.project, source.emulator),
        call_s=_CALL_TIMEOUT_S,
        statement_s=source.timeout_s,
        conflicts_s=_CONFLICTS_S,
    )
