"""The rows for hand-made events; tests/integration/features compares the SQL with the oracle."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from pmp_schema.features import close_days, parse_catalogue, read_scope
from tests.fakes.feature_oracle import Event, Scenario, expected_rows, scenario
from tests.fakes.feature_run import by_key, counts_by_key, raw_rows, sql_rows

AS_OF = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)
TICK, MINUTE, HOUR, DAY = (
    timedelta(microseconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)


def event(n, age, *, delay=MINUTE, **fields):
    plain = {"city_id": "c", "station_id": "A_101", "kind": "pickup", "delta": 1}
    ts = AS_OF - age
    return Event(f"e-{n}", ts=ts, ingest_ts=ts + delay, message_id=f"m-{n}", **(plain | fields))


def rows(duck, *events, known_at=AS_OF + DAY, closings=(), features=None):
    duck.insert("raw_events", raw_rows(events))
    given = Scenario(list(events), AS_OF, known_at, list(closings))
    return by_key(sql_rows(duck, duck.tables, given, features))


def of(found, name, window, station="A_101"):
    return found.get(("c", station, name, window))


def test_the_rows_printed_in_the_first_design_follow_from_events(duck):
    """pickup_count 2h = 8, avg_delta_pickup 24h = 3.2 and is_peak_station = 1.0 for A_101 at 02:15."""
    deltas = [1, 2, 3, 4, 5, 3, 4, 2]
    last_two_hours = [event(n, n * 15 * MINUTE, delta=delta) for n, delta in enumerate(deltas)]
    earlier = [event(10 + n, 5 * HOUR, delta=4) for n in range(2)]
    others = [event(20 + n, HOUR, station_id=f"A_{n}") for n in range(9)]
    found = rows(duck, *last_two_hours, *earlier, *others)
    assert of(found, "pickup_count", "2h") == 8
    assert of(found, "avg_delta_pickup", "24h") == 3.2
    assert of(found, "is_peak_station", "all_time") == 1.0
    assert of(found, "is_peak_station", "all_time", "A_1") == 0.0


@pytest.mark.parametrize(
    ("age", "counted"),
    [(-TICK, None), (0 * DAY, 1), (2 * HOUR - TICK, 1), (2 * HOUR, 0), (2 * HOUR + TICK, 0)],
)
def test_a_window_is_open_at_its_older_end_and_closed_at_its_newer_one(duck, age, counted):
    assert of(rows(duck, event(1, age)), "pickup_count", "2h") == counted


def test_only_the_first_delivery_counts(duck):
    """Also if only the second delivery is before as_of: the first one is the event, and it is in the future."""
    first = event(1, HOUR, delta=2)
    second = replace(first, kind="dropoff", delta=9, city_id="d", ingest_ts=first.ingest_ts + HOUR)
    future = event(2, -HOUR)
    moved = replace(future, ts=AS_OF - HOUR, ingest_ts=future.ingest_ts + HOUR)
    found = rows(duck, second, first, moved, future)
    assert (of(found, "pickup_count", "24h"), of(found, "turnover", "24h")) == (1, 2)
    assert {key[0] for key in found} == {"c"}


def test_what_was_ingested_after_known_at_does_not_exist(duck):
    late = event(1, HOUR, delay=2 * HOUR)
    on_time = event(2, HOUR)
    assert of(rows(duck, late, on_time, known_at=late.ingest_ts - TICK), "pickup_count", "2h") == 1
    duck.empty()
    assert of(rows(duck, late, on_time, known_at=late.ingest_ts), "pickup_count", "2h") == 2


def test_a_silent_station_has_no_rows_but_keeps_its_rank(duck):
    silent = [event(n, 28 * DAY, station_id="old") for n in range(20)]
    busy = [event(100 + n, HOUR) for n in range(10)]
    found = rows(duck, *silent, *busy)
    assert {key[1] for key in found} == {"A_101"}
    assert of(found, "is_peak_station", "all_time") == 0.0


def test_stations_with_equal_pickups_share_their_rank(duck):
    """Two of eleven may be peak stations. With two at the top, two are above the third: a fifth of the city."""
    pickups = {"a": 12, "b": 12, "c": 11} | dict.fromkeys("defghijk", 1)
    numbers = iter(range(100))
    events = [event(next(numbers), HOUR, station_id=one) for one, n in pickups.items() for _ in range(n)]
    found = rows(duck, *events)
    peaks = {one for one in pickups if of(found, "is_peak_station", "all_time", one) == 1.0}
    assert peaks == {"a", "b"}
    assert {one: of(found, "pickup_total", "all_time", one) for one in pickups} == pickups


def test_nothing_is_a_count_of_zero_but_no_mean_maximum_last_time_or_share(duck):
    found = rows(duck, event(1, 20 * DAY, kind="dropoff"))
    assert {(name, window) for _, _, name, window in found}.isdisjoint(
        {
            ("avg_delta_pickup", "24h"),
            ("max_abs_delta", "24h"),
            ("minutes_since_last_pickup", "168h"),
            ("minutes_since_last_dropoff", "168h"),
            ("city_share", "24h"),
        }
    )
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(
    ("closings", "is_doubled"), [([], 0), ([0], 0), ([20], 0), ([40], 0), ([10, 35], 0), ([60], 0), ([49], 1)]
)
def test_the_days_that_are_closed_change_no_row(duck, closings, is_doubled):
    """Also if two closings at once have inserted their counts twice."""
    given = scenario(7)
    days = [given.known_at.date() + (day - 50) * DAY for day in closings]
    duck.insert("raw_events", raw_rows(given.events))
    if is_doubled:
        close_days(duck, duck.tables, through=days.pop())
        assert duck.rows("station_daily_counts")
        duck.insert("station_daily_counts", duck.rows("station_daily_counts"))
    found = by_key(sql_rows(duck, duck.tables, replace(given, closings=days)))
    assert found == pytest.approx(expected_rows(given.events, given.as_of, given.known_at), rel=1e-9, abs=0)


class Contested:
    """A runner with another closing that merges the same days at the same time as the first merge."""

    def __init__(self, duck):
        self.duck = duck
        self.is_alone = False

    def query(self, statement):
        found = self.duck.query(statement)
        if statement.sql.startswith("-- Makes the counts") and not self.is_alone:
            self.duck.insert("station_daily_counts", self.duck.rows("station_daily_counts"))
            self.is_alone = True
        return found


def test_two_closings_at_once_leave_each_count_once(duck):
    """Neither deletes rows, so BigQuery runs both at once, and both insert their rows."""
    duck.insert("raw_events", raw_rows([event(1, 2 * DAY), event(2, 3 * DAY)]))
    contested = Contested(duck)
    close_days(contested, duck.tables, through=AS_OF.date() - DAY)
    assert contested.is_alone
    assert len(counts_by_key(duck.rows("station_daily_counts"))) == 2


def test_partitions_older_than_the_windows_are_read_only_where_something_late_came_in(duck):
    known = event(1, 100 * DAY)
    late = event(2, 200 * DAY, delay=200 * DAY)
    duck.insert("raw_events", raw_rows([known, late]))
    close_days(duck, duck.tables, through=AS_OF.date() - DAY)
    scope = read_scope(duck, duck.tables, parse_catalogue(ONE_MORE), as_of=AS_OF, known_at=AS_OF + DAY)
    assert scope.first_date == AS_OF.date() - 28 * DAY
    assert scope.open_from == known.ingest_ts.date() + DAY
    assert scope.late_dates == (late.event_date,)


ONE_MORE = """
[[features]]
name = "bikes_taken"
aggregation = "bikes"
kind = "pickup"
windows = ["90m"]
description = "Bikes that were taken"
source = "this test"
"""


def test_a_new_feature_is_one_entry(duck):
    found = rows(duck, event(1, HOUR, delta=3), event(2, 2 * HOUR), features=parse_catalogue(ONE_MORE))
    assert found == {("c", "A_101", "bikes_taken", "90m"): 3.0}


def test_rows_carry_their_as_of_and_its_date(duck):
    duck.insert("raw_events", raw_rows([event(1, HOUR)]))
    given = Scenario([], AS_OF, AS_OF, [date(2025, 11, 15)])
    found = sql_rows(duck, duck.tables, given)
    assert {(row["as_of"], row["event_date"]) for row in found} == {(AS_OF, AS_OF.date())}
