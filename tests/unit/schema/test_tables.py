import pytest

from pmp_schema.tables import table
from pmp_schema.topology import TOPOLOGY

TABLES = [name for dataset in TOPOLOGY.datasets.values() for name in dataset.tables]


def test_a_table_is_read_from_its_file():
    events = table("raw_events")
    assert events.id == "pmp_raw.raw_events"
    assert (events.partition_field, events.cluster) == ("event_date", ("city_id", "station_id"))
    assert events.columns[0].name == "event_id"


def test_a_table_is_in_its_dataset_unless_it_was_moved():
    events = table("raw_events")
    assert events.path("p") == "projects/p/datasets/pmp_raw/tables/raw_events"
    assert events.path("p", "q.streaming.events") == "projects/q/datasets/streaming/tables/events"


def test_the_schema_is_what_the_rest_api_takes():
    first, *rest = table("raw_events").api_schema()
    assert first.keys() == {"name", "type", "mode", "description"}
    assert len(rest) == len(table("raw_events").columns) - 1


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_one_that_bigquery_can_create(name):
    columns = {column.name: column for column in table(name).columns}
    assert len(columns) == len(table(name).columns)
    assert table(name).description
    assert {column.type for column in columns.values()} <= {
        *("STRING", "INTEGER", "FLOAT", "BOOLEAN", "TIMESTAMP", "DATE", "BYTES", "JSON")
    }
    assert {column.mode for column in columns.values()} <= {"REQUIRED", "NULLABLE", "REPEATED"}
    assert columns[table(name).partition_field].type in {"TIMESTAMP", "DATE"}
    assert columns[table(name).partition_field].mode == "REQUIRED"
    assert 1 <= len(table(name).cluster) <= 4
    assert all(columns[column].type == "STRING" for column in table(name).cluster)
