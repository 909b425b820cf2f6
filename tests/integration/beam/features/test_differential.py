"""The columnar engine against the naive oracle and the SQL engine on many scenarios, some through the pipeline."""

import pyarrow as pa
import pytest

from pmp_beam.station_features.facts import COUNTS_SCHEMA
from pmp_schema.features import catalogue, close_days, feature_rows, read_scope
from tests.fakes.duck_warehouse import Duck
from tests.fakes.feature_core import core_rows, delivery_table, pipeline_rows, scanned, scanned_counts
from tests.fakes.feature_oracle import expected_rows, scenario
from tests.fakes.feature_run import by_key, raw_rows

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def shared_duck():
    return Duck()


@pytest.fixture
def duck(shared_duck):
    shared_duck.empty()
    return shared_duck


@pytest.mark.parametrize("seed", range(200))
def test_the_rows_are_those_of_the_definitions_and_of_the_sql(duck, seed):
    """Also where two closings at once have left the daily counts twice, as in each third scenario."""
    given = scenario(seed)
    duck.insert("raw_events", raw_rows(given.events))
    for through in given.closings:
        close_days(duck, duck.tables, through=through)
    if seed % 3 == 0:
        duck.insert("station_daily_counts", duck.rows("station_daily_counts"))
    scope = read_scope(duck, duck.tables, catalogue(), as_of=given.as_of, known_at=given.known_at)
    counts = pa.Table.from_pylist(
        scanned_counts(duck.rows("station_daily_counts"), scope), schema=COUNTS_SCHEMA
    )
    rows = by_key(
        core_rows(delivery_table(scanned(given.events, scope)), counts, scope, shards=1 + seed % 5, seed=seed)
    )

    expected = expected_rows(given.events, given.as_of, given.known_at)
    assert rows.keys() == expected.keys()
    assert rows == pytest.approx(expected, rel=1e-9, abs=0)
    sql = by_key(duck.query(feature_rows(duck.tables, catalogue(), scope)))
    assert rows.keys() == sql.keys()
    assert rows == pytest.approx(sql, rel=1e-9, abs=0)


@pytest.mark.parametrize("seed", [1, 3, 5, 8, 10, 11, 14, 17, 23, 42])
def test_the_pipeline_gives_what_the_definitions_say(duck, tmp_path, seed):
    given = scenario(seed)
    duck.insert("raw_events", raw_rows(given.events))
    for through in given.closings:
        close_days(duck, duck.tables, through=through)
    scope = read_scope(duck, duck.tables, catalogue(), as_of=given.as_of, known_at=given.known_at)
    deliveries = delivery_table(scanned(given.events, scope)).to_batches(max_chunksize=50)
    closed = scanned_counts(duck.rows("station_daily_counts"), scope)
    counts = pa.Table.from_pylist(closed, schema=COUNTS_SCHEMA).to_batches(max_chunksize=30)
    rows = pipeline_rows(tmp_path / "rows.json", deliveries, counts, scope)
    expected = expected_rows(given.events, given.as_of, given.known_at)
    assert by_key(rows).keys() == expected.keys()
    assert by_key(rows) == pytest.approx(expected, rel=1e-9, abs=0)
    assert {(row["as_of"], row["event_date"]) for row in rows} <= {
        (given.as_of.isoformat().replace("+00:00", "Z"), str(given.as_of.date()))
    }
