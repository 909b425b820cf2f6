"""Creates and extends datasets, tables and views in BigQuery, from the schema files; drops nothing."""

from collections.abc import Iterator
from functools import partial

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from pmp_schema.tables import Column, Table, table, view_sql
from pmp_schema.topology import Dataset, Topology
from pmpctl.google_errors import readable_failures
from pmpctl.project.changes import CALL_TIMEOUT_S, RETRY, Change, make

# The REST API's names, as DDL spells them.
_SQL_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def prepare_tables(
    client: bigquery.Client, topology: Topology, *, location: str, emulated: bool, dry_run: bool = False
) -> tuple[Change, ...]:
    """Creates what is missing; adds missing columns as nullable ones; replaces view texts that differ.

    Args:
        emulated: the client is one of the emulator, which needs some changes in another form.

    Raises:
        CommandError: BigQuery refused or did not answer in time.
    """
    with readable_failures("BigQuery"):
        return make(_changes(client, topology, location=location, emulated=emulated), dry_run=dry_run)


def _changes(
    client: bigquery.Client, topology: Topology, *, location: str, emulated: bool
) -> Iterator[Change]:
    """All tables come before all views, and the views in the topology's order: each after what it reads."""
    for dataset in topology.datasets.values():
        yield from _dataset(client, dataset, location=location, emulated=emulated)
    for dataset in topology.datasets.values():
        for name in dataset.views:
            yield from _view(client, dataset, name, emulated=emulated)


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
    """Columns that the existing table lacks; BigQuery's column names ignore case."""
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
        # Its location can never change, and is not compared.
        client.get_dataset(wanted.reference, timeout=CALL_TIMEOUT_S, retry=RETRY)
    except NotFound:
        create = partial(client.create_dataset, wanted, exists_ok=True, timeout=CALL_TIMEOUT_S, retry=RETRY)
        yield Change("created", f"dataset {dataset.id}", create)
    for name in dataset.tables:
        yield from _table(client, table(name), emulated=emulated)


def _table(client: bigquery.Client, schema: Table, *, emulated: bool) -> Iterator[Change]:
    wanted = api_table(schema, client.project)
    try:
        existing = client.get_table(wanted, timeout=CALL_TIMEOUT_S, retry=RETRY)
    except NotFound:
        yield Change("created", f"table {schema.id}", partial(_create, client, wanted))
        return
    missing = missing_columns(schema, existing)
    if missing:
        names = ", ".join(column.name for column in missing)
        add = partial(_add_columns, client, existing, missing, emulated=emulated)
        yield Change("changed", f"table {schema.id}: added {names}", add)
    for difference in differences(schema, existing):
        yield Change("differs", f"table {schema.id}: {difference}")


def _create(client: bigquery.Client, wanted: bigquery.Table) -> None:
    client.create_table(wanted, exists_ok=True, timeout=CALL_TIMEOUT_S, retry=RETRY)


def _add_columns(
    client: bigquery.Client, existing: bigquery.Table, columns: tuple[Column, ...], *, emulated: bool
) -> None:
    if emulated:
        _add_to_storage(client, existing, columns)
    # BigQuery does not add REQUIRED columns to an existing table.
    existing.schema = [*existing.schema, *(_nullable(column) for column in columns)]
    client.update_table(existing, ["schema"], timeout=CALL_TIMEOUT_S, retry=RETRY)


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


def api_view(dataset: Dataset, name: str, project: str, *, emulated: bool) -> bigquery.Table:
    """The view as the API takes it.

    The emulator (1.4) ignores `materializedView` in the API and does not refresh a materialized view that another view
    reads. There it is a plain view with the same text.
    """
    view = bigquery.Table(f"{project}.{dataset.id}.{name}")
    stored = dataset.materialized.get(name)
    if stored is None or emulated:
        view.view_query = view_sql(name, project)
        return view
    view.mview_query = view_sql(name, project)
    view.time_partitioning = bigquery.TimePartitioning(field=stored.partition_field)
    if stored.cluster:
        view.clustering_fields = list(stored.cluster)
    return view


def _view(client: bigquery.Client, dataset: Dataset, name: str, *, emulated: bool) -> Iterator[Change]:
    view = api_view(dataset, name, client.project, emulated=emulated)
    what = f"view {dataset.id}.{name}"
    try:
        existing = client.get_table(view, timeout=CALL_TIMEOUT_S, retry=RETRY)
    except NotFound:
        yield Change("created", what, partial(_create, client, view))
        return
    if view.mview_query is not None:
        yield from _materialized_view(client, existing, view)
    elif existing.view_query is None and not emulated:
        yield Change("differs", f"{what}: a table has this name")
    elif existing.view_query != view.view_query:
        write = partial(client.update_table, view, ["view_query"], timeout=CALL_TIMEOUT_S, retry=RETRY)
        # The emulator does not return a view's text, so it is written each time.
        yield Change("changed", what, write, shown=not emulated)


def _materialized_view(
    client: bigquery.Client, existing: bigquery.Table, wanted: bigquery.Table
) -> Iterator[Change]:
    """BigQuery cannot change the text of a materialized view: it is deleted and created again."""
    what = f"view {wanted.dataset_id}.{wanted.table_id}"
    if existing.table_type == "TABLE":
        yield Change("differs", f"{what}: a table has this name")
    elif existing.mview_query != wanted.mview_query:
        yield Change("changed", what, partial(_replace, client, existing, wanted))


def _replace(client: bigquery.Client, existing: bigquery.Table, wanted: bigquery.Table) -> None:
    client.delete_table(existing, not_found_ok=True, timeout=CALL_TIMEOUT_S, retry=RETRY)
    _create(client, wanted)
