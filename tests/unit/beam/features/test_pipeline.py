"""The pipeline on the in-process runner, from batches in memory to rows in memory."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from pmp_beam.station_features.debug import DebugOutput
from pmp_beam.station_features.deliveries import SCHEMA
from pmp_beam.station_features.facts import COUNTS_SCHEMA
from pmp_beam.station_features.files import example, read_events, scope_of_file
from pmp_beam.station_features.pipeline import read_counts, read_deliveries
from pmp_schema.features import Scope
from tests.fakes.feature_core import pipeline_rows
from tests.fakes.feature_run import by_key

AS_OF = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)


def test_the_source_documents_rows_come_from_the_example(tmp_path):
    scope = scope_of_file(AS_OF, AS_OF)
    rows = by_key(pipeline_rows(tmp_path / "rows.json", [read_events(example())], [], scope))
    assert rows["unknown", "A_101", "pickup_count", "2h"] == 8
    assert rows["unknown", "A_101", "avg_delta_pickup", "24h"] == pytest.approx(3.2)
    assert rows["unknown", "A_101", "is_peak_station", "all_time"] == 1.0


def test_no_events_are_no_rows(tmp_path):
    assert pipeline_rows(tmp_path / "rows.json", [], [], scope_of_file(AS_OF, AS_OF)) == []


def test_the_debug_output_has_each_used_event_and_each_row_once(tmp_path):
    batch = read_events(example())
    debug = DebugOutput(str(tmp_path), "r-1", "parquet")
    rows = pipeline_rows(tmp_path / "rows.json", [batch, batch], [], scope_of_file(AS_OF, AS_OF), debug=debug)
    folder = tmp_path / "feature-debug" / "r-1"
    used = pa.concat_tables(
        pa.parquet.read_table(path).select(["event_id", "ts_iso"]) for path in folder.glob("events-*.parquet")
    )
    before = [row["event_id"] for row in batch.to_pylist() if row["ts_iso"] <= AS_OF]
    assert sorted(used["event_id"].to_pylist()) == sorted(before)
    assert 0 < len(before) < batch.num_rows
    assert sum(pa.parquet.read_metadata(path).num_rows for path in folder.glob("rows-*")) == len(rows)


SCOPE = Scope(
    as_of=AS_OF,
    known_at=AS_OF + timedelta(minutes=1),
    open_from=date(2025, 11, 10),
    late_dates=(date(2025, 9, 1), date(2025, 9, 3)),
    first_date=date(2025, 10, 19),
)


def test_partitions_that_are_not_needed_are_not_read():
    read = read_deliveries(SCOPE, project="p", moved_to=None, storage_emulator=None)._read
    assert read.row_restriction == (
        "(event_date BETWEEN '2025-10-19' AND '2025-11-16' OR event_date IN ('2025-09-01', '2025-09-03'))"
        " AND ingest_ts <= '2025-11-16T02:16:00+00:00'"
    )
    assert read.columns == tuple(SCHEMA.names)


def test_of_the_daily_counts_the_closed_days_before_as_of_are_read():
    read = read_counts(SCOPE, project="p", storage_emulator=None)._read
    assert read.row_restriction == "event_date < '2025-11-16' AND first_ingest_date < '2025-11-10'"
    assert read.columns == tuple(COUNTS_SCHEMA.names)
