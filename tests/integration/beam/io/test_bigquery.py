"""Writing and reading back through the BigQuery emulator."""

from datetime import UTC, datetime

import apache_beam as beam
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.util import assert_that, equal_to

from pmp_beam.io import ReadRows, TableRead, WriteRows, read_rows
from pmp_schema.tables import table
from tests.fakes.bigquery_emulator import bigquery_emulator

pytestmark = pytest.mark.integration
STATUS = table("station_status")
AT = datetime(2026, 1, 24, 16, 0, 1, 234567, UTC)
COUNT = 12_000


def row(n):
    return {
        "system_id": "velib" if n % 2 else "bixi",
        "station_id": str(n),
        "feed_ts": AT,
        "bikes": n,
        "is_renting": True,
        "change": "first",
        "quality": ["frozen"] if n == 1 else [],
        "event_id": "x" * 250,
    }


def rows(_):
    return map(row, range(COUNT))


@pytest.fixture(scope="module")
def emulator():
    with bigquery_emulator() as running:
        running.create_dataset(STATUS.dataset)
        running.create_table(STATUS, STATUS.name)
        with beam.Pipeline(runner=BundleBasedDirectRunner()) as pipeline:
            written = pipeline | beam.Create(["all"]) | write(running)
            assert_that(written.settled, equal_to(["all"]), label="settled")
            assert_that(written.rejected, equal_to([]), label="rejected")
        yield running


def write(running):
    return WriteRows("station_status", project=running.project, emulator_host=running.grpc, rows_of=rows)


def test_all_that_was_written_is_read(emulator):
    read = TableRead(project=emulator.project, table="station_status")
    found = [r for batch in read_rows(read, emulator_host=emulator.grpc) for r in batch.to_pylist()]
    assert sorted(int(r["station_id"]) for r in found) == list(range(COUNT))
    first = next(r for r in found if r["station_id"] == "1")
    assert first["ingest_ts"] > AT
    assert {name: first[name] for name in row(1)} == row(1)
    assert set(first) == {column.name for column in STATUS.columns}


@pytest.mark.parametrize("runner", [BundleBasedDirectRunner, lambda: "FnApiRunner"])
def test_streams_columns_and_restriction_are_those_of_the_read(emulator, runner):
    with beam.Pipeline(runner=runner()) as pipeline:
        batches = pipeline | ReadRows(
            "station_status",
            project=emulator.project,
            columns=["station_id", "bikes", "event_id"],
            row_restriction=f"system_id = 'velib' AND feed_ts >= TIMESTAMP '{AT.isoformat()}'",
            max_streams=3,
            emulator_host=emulator.grpc,
        )
        shapes = batches | "Shape" >> beam.Map(lambda b: (b.num_rows, tuple(b.schema.names)))
        columns = ("station_id", "bikes", "event_id")
        assert_that(shapes, equal_to([(COUNT // 6, columns)] * 3), label="three streams")
        total = batches | "Bikes" >> beam.FlatMap(lambda b: b.column("bikes").to_pylist())
        assert_that(total, equal_to(list(range(1, COUNT, 2))), label="rows")


def test_a_restriction_that_nothing_meets_gives_nothing(emulator):
    read = TableRead(project=emulator.project, table="station_status", row_restriction="bikes < 0")
    assert list(read_rows(read, emulator_host=emulator.grpc)) == []
