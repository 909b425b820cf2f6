"""The source over a strict Storage Read server: every row once, whatever breaks in between."""

from datetime import UTC, datetime

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.util import assert_that, equal_to
from google.api_core import exceptions
from grpc import StatusCode

from pmp_beam.io import ReadRows, SourceUnavailable, TableRead, read_rows
from pmp_beam.io.storage import read_client
from pmp_beam.io.storage_read import StorageReader
from tests.contract.beam_io.storage_read import Fault, StorageReadServer

SCHEMA = pa.schema([("bikes", pa.int64()), ("station_id", pa.string())])
READ = TableRead(project="p", table="station_status", columns=("station_id", "bikes"))
RUNNERS = {"bundles": BundleBasedDirectRunner, "fn_api": lambda: "FnApiRunner"}


def batch(*bikes):
    return pa.record_batch([list(bikes), [f"s{n}" for n in bikes]], schema=SCHEMA)


@pytest.fixture
def server():
    with StorageReadServer(SCHEMA, [[batch(1, 2), batch(3), batch(4, 5, 6)]]) as running:
        yield running


def bikes(batches):
    return [number for batch in batches for number in batch.column("bikes").to_pylist()]


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_rows_of_all_streams_come_as_batches(server, runner):
    server.streams = [[batch(1)], [batch(2), batch(3)], []]
    with beam.Pipeline(runner=RUNNERS[runner]()) as pipeline:
        batches = pipeline | ReadRows("station_status", project="p", emulator_host=server.address)
        assert_that(batches | beam.FlatMap(lambda b: b.to_pylist()), equal_to(rows_of(1, 2, 3)))
    assert sorted(server.reads) == [(0, 0), (1, 0), (2, 0)]


def rows_of(*numbers):
    return [{"bikes": n, "station_id": f"s{n}"} for n in numbers]


def test_a_table_without_rows_has_no_streams_and_no_batches(server):
    server.streams = []
    assert list(read_rows(READ, emulator_host=server.address)) == []


def test_the_session_is_asked_for_what_the_read_says(server):
    at = datetime(2026, 1, 24, 16, tzinfo=UTC)
    read = TableRead(
        project="p",
        table="station_status",
        columns=("station_id", "bikes"),
        row_restriction="bikes > 2",
        snapshot_at=at,
        max_streams=7,
        moved_to="q.d.t",
    )
    list(read_rows(read, emulator_host=server.address))
    (request,) = server.sessions
    session = request.read_session
    assert (request.parent, request.max_stream_count) == ("projects/p", 7)
    assert session.table == "projects/q/datasets/d/tables/t"
    assert list(session.read_options.selected_fields) == ["station_id", "bikes"]
    assert session.read_options.row_restriction == "bikes > 2"
    assert session.table_modifiers.snapshot_time == at


def test_without_a_time_the_table_is_read_as_it_is(server):
    list(read_rows(READ, emulator_host=server.address))
    assert "snapshot_time" not in server.sessions[0].read_session.table_modifiers


def test_columns_come_in_the_order_of_the_read(server):
    (first, *_) = read_rows(READ, emulator_host=server.address)
    assert first.schema.names == ["station_id", "bikes"]


@pytest.mark.parametrize("code", [StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.DEADLINE_EXCEEDED])
def test_a_broken_stream_goes_on_behind_its_last_batch(server, code):
    server.faults.extend([Fault(code, after=2), Fault(code), None])
    assert bikes(read_rows(READ, emulator_host=server.address)) == [1, 2, 3, 4, 5, 6]
    assert server.reads == [(0, 0), (0, 3), (0, 3)]


def test_a_session_is_asked_for_again(server):
    server.session_faults.extend([StatusCode.UNAVAILABLE] * 2)
    assert bikes(read_rows(READ, emulator_host=server.address)) == [1, 2, 3, 4, 5, 6]


def test_a_source_that_stays_away_is_given_up(server):
    reader = StorageReader(read_client(server.address), retry_s=0.5)
    (stream,) = reader.streams(READ)
    server.faults.extend([Fault(StatusCode.UNAVAILABLE)] * 50)
    with pytest.raises(SourceUnavailable, match="ServiceUnavailable"):
        list(reader.batches(stream))
    assert len(server.reads) > 1
    server.session_faults.extend([StatusCode.UNAVAILABLE] * 50)
    with pytest.raises(SourceUnavailable, match="ServiceUnavailable"):
        reader.streams(READ)


def test_a_refused_read_is_not_repeated(server):
    server.session_faults.append(StatusCode.INVALID_ARGUMENT)
    with pytest.raises(exceptions.InvalidArgument):
        list(read_rows(READ, emulator_host=server.address))
    assert len(server.sessions) == 1


def test_an_unknown_column_is_refused_when_the_pipeline_is_built():
    with pytest.raises(ValueError, match="station_status has no column x, y"):
        ReadRows("station_status", project="p", columns=["bikes", "y", "x"])
