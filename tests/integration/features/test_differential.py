"""The SQL engine against the oracle: many scenarios on DuckDB, some of them through the emulator's REST API."""

import pytest

from tests.fakes.duck_warehouse import Duck
from tests.fakes.feature_oracle import expected_daily_counts, expected_rows, scenario
from tests.fakes.feature_run import by_key, counts_by_key, raw_rows, sql_rows

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def shared_duck():
    return Duck()


@pytest.fixture
def duck(shared_duck):
    shared_duck.empty()
    return shared_duck


def check(warehouse, given):
    warehouse.insert("raw_events", raw_rows(given.events))
    rows = by_key(sql_rows(warehouse, warehouse.tables, given))
    expected = expected_rows(given.events, given.as_of, given.known_at)
    assert rows.keys() == expected.keys()
    assert rows == pytest.approx(expected, rel=1e-9, abs=0)
    if given.closings:
        counts = counts_by_key(warehouse.rows("station_daily_counts"))
        assert counts == expected_daily_counts(given.events, given.closings[-1])


@pytest.mark.parametrize("seed", range(200))
def test_the_sql_gives_what_the_definitions_say(duck, seed):
    check(duck, scenario(seed))


@pytest.mark.parametrize("seed", [1001, 1003, 1005, 1008, 1010])
def test_the_sql_gives_what_the_definitions_say_on_the_emulator(warehouse, seed):
    check(warehouse, scenario(seed))
