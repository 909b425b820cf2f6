"""Datasets, tables and views, from the schema files to BigQuery: additive, through the API."""

from collections.abc import Iterator

from google.api_core.exceptions import Conflict, NotFound
from google.cloud import bigquery

from pmp_schema.tables import Column, Table, table, view_sql
from pmp_schema.topology import Dataset, Topology
from pmpctl.changes import CALL_TIMEOUT_S, RETRY, Change

# The REST API's names, as DDL spells them.
_SQL_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def prepare_warehouse(
    client: bigquery.Client, topology: Topology, *, location: str, emulated: bool
) -> tuple[Change, ...]:
    """Creates what is missing; adds missing columns as nullable ones; replaces view texts that differ.

    Raises:
        GoogleAPIError, RequestException: BigQuery refused or did not answer in time.
    """
    return tuple(
        change
        for dataset in topology.datasets.values()
        for change in _dataset(client, dataset, location=location, emulated=emulated)
    )


def api_table(schema: Table, project: str) -> bigquery.Table:
    """The table as the API takes it: schema, daily partition, clustering."""
    wanted = bigquery.Table(
        f"{project}.{schema.id}", schema=[bigquery.SchemaField.from_api_repr(c) for c in schema.api_schema()]
    )
    wanted.description = schema.description
    wanted.time_partitioning = bigquery.TimePartitioning(field=schema.partition_field)
    wanted.clustering_fields = list(schema.cluster)
    return wanted


def missing_columns(schema: Table, existing: bigquery.Table) -> tuple[Column, ...]:
    """Columns that the existing table has not; BigQuery's column names ignore case."""
    present = {field.name.lower() for field in existing.schema}
    return tuple(column for column in schema.columns if column.name.lower() not in present)


def differences(schema: Table, existing: bigquery.Table) -> Iterator[str]:
    """What cannot be changed in place: types, partition and clustering, one line each."""
    types = {field.name.lower(): field.field_type for field in existing.schema}
    for column in schema.columns:
        found = types.get(column.name.lower(), column.type)
        if found != column.type:
            yield f"column {column.name} is {found}, the schema says {column.type}"
    partition = existing.time_partitioning.field if existing.time_partitioning else None
    if partition != schema.partition_field:
        yield f"partitioned by {partition}, the schema says {schema.partition_field}"
    if tuple(existing.clustering_fields or ()) != schema.cluster:
        yield f"clustered by {existing.clustering_fields}, the schema says {list(schema.cluster)}"


def _dataset(client: bigquery.Client, dataset: Dataset, *, location: str, emulated: bool) -> Iterator[Change]:
    wanted = bigquery.Dataset(f"{client.project}.{dataset.id}")
    wanted.description = dataset.description
    wanted.location = location
    try:
        client.create_dataset(wanted, timeout=CALL_TIMEOUT_S, retry=RETRY)
        yield Change("created", f"dataset {dataset.id}")
    except Conflict:
        pass  # it is there; its location can never change
    for name in dataset.tables:
        yield from _table(client, table(name), emulated=emulated)
    for name in dataset.views:
        yield from _view(client, dataset, name)


def _table(client: bigquery.Client, schema: Table, *, emulated: bool) -> Iterator[Change]:
    wanted = api_table(schema, client.project)
    try:
        existing = client.get_table(wanted, timeout=CALL_TIMEOUT_S, retry=RETRY)
    except NotFound:
        client.create_table(wanted, exists_ok=True, timeout=CALL_TIMEOUT_S, retry=RETRY)
        yield Change("created", f"table {schema.id}")
        return
    missing = missing_columns(schema, existing)
    if missing:
        if emulated:
            _add_to_storage(client, wanted, missing)
        # BigQuery adds no REQUIRED column to a table that exists.
        added = [_nullable(column) for column in missing]
        existing.schema = [*existing.schema, *added]
        client.update_table(existing, ["schema"], timeout=CALL_TIMEOUT_S, retry=RETRY)
        yield Change("changed", f"table {schema.id}: added {', '.join(c.name for c in missing)}")
    for difference in differences(schema, existing):
        yield Change("differs", f"table {schema.id}: {difference}")


def _nullable(column: Column) -> bigquery.SchemaField:
    mode = "REPEATED" if column.mode == "REPEATED" else "NULLABLE"
    return bigquery.SchemaField(column.name, column.type, mode, description=column.description)


def _add_to_storage(client: bigquery.Client, target: bigquery.Table, columns: tuple[Column, ...]) -> None:
    """The emulator (1.4) changes only its catalogue on tables.update, and only its storage on ALTER TABLE."""
    for column in columns:
        kind = _SQL_TYPES.get(column.type, column.type)
        kind = f"ARRAY<{kind}>" if column.mode == "REPEATED" else kind
        path = f"{target.project}.{target.dataset_id}.{target.table_id}"
        statement = f"ALTER TABLE `{path}` ADD COLUMN IF NOT EXISTS `{column.name}` {kind}"
        client.query(statement, timeout=CALL_TIMEOUT_S, retry=RETRY, job_retry=None).result(
            timeout=CALL_TIMEOUT_S, retry=RETRY
        )


def _view(client: bigquery.Client, dataset: Dataset, name: str) -> Iterator[Change]:
    view = bigquery.Table(f"{client.project}.{dataset.id}.{name}")
    view.view_query = view_sql(name, client.project)
    try:
        existing = client.get_table(view, timeout=CALL_TIMEOUT_S, retry=RETRY)
    except NotFound:
        client.create_table(view, exists_ok=True, timeout=CALL_TIMEOUT_S, retry=RETRY)
        yield Change("created", f"view {dataset.id}.{name}")
        return
    # The emulator never tells a view's text; there it is written again, without being counted as a change.
    if existing.view_query != view.view_query:
        client.update_table(view, ["view_query"], timeout=CALL_TIMEOUT_S, retry=RETRY)
        if existing.view_query is not None:
            yield Change("changed", f"view {dataset.id}.{name}")
