"""The rules of the curation, one by one."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from pmp_curation.core import Rules, Snapshot, SystemState, curate
from pmp_runtime.bigquery.append.row_values import RowConverter
from pmp_schema import tables
from pmp_schema.errors import PoisonMessage, Reason
from tests.unit.curation.core.system import START, System, at, body, poll, snapshot, station

TEN = dict.fromkeys("abcdefghij", 5)


def test_a_change_of_counts_has_a_row_and_a_signed_event():
    system = System()
    assert system.take(poll(0, a=5, b=5, c=5)).rides == []
    assert system.changes == [("a", "first"), ("b", "first"), ("c", "first")]
    curated = system.take(poll(1, a=3, b=9, c=5))
    assert [(row["station_id"], row["bikes"], row["change"]) for row in curated.status_rows] == [
        ("a", 3, "counts"),
        ("b", 9, "counts"),
    ]
    assert system.moves == [("a", "pickup", 2), ("b", "dropoff", 4)]


@pytest.mark.parametrize(
    ("changed", "causes"),
    [
        ({}, []),
        ({"last_reported": 1772366460}, []),
        ({"num_docks_available": 9}, ["counts"]),
        ({"num_bikes_disabled": 1}, ["counts"]),
        ({"num_bikes_available_types": [{"mechanical": 5}, {"ebike": 0}]}, ["counts"]),
        *(({flag: 0}, ["flags"]) for flag in ("is_installed", "is_renting", "is_returning")),
        ({"is_renting": 0, "num_docks_available": 9}, ["counts"]),
    ],
)
def test_a_change_other_than_of_bikes_derives_nothing(changed, causes):
    system = System()
    system.take(poll(0, a=5), snapshot(body([station("a", 5, **changed)], at(1))))
    assert system.changes == [("a", "first"), *(("a", cause) for cause in causes)]
    assert system.moves == []


def test_last_reported_never_makes_a_change():
    system = System()
    for minute, reported in enumerate((1772366400, 1772366460, 1772366000, 0, None, "x")):
        system.take(snapshot(body([station("a", last_reported=reported)], at(minute))))
    assert system.changes == [("a", "first")]


def test_a_heartbeat_is_due_an_hour_after_the_last_row():
    system = System()
    system.take(*(poll(minute, a=5, b=5 if minute < 30 else 6) for minute in range(0, 92, 1)))
    at_minutes = [
        (row["station_id"], row["change"], (row["feed_ts"] - START) / timedelta(minutes=1))
        for row in system.rows
    ]
    assert at_minutes[2:] == [("b", "counts", 30), ("a", "heartbeat", 60), ("b", "heartbeat", 90)]
    assert (system.polls[60]["verdict"], system.polls[60]["changed"]) == ("unchanged", 0)


@pytest.mark.parametrize("unknown", [-1, 999999, None, "many"])
def test_an_unknown_count_is_null_derives_nothing_and_loses_nothing(unknown):
    system = System()
    system.take(poll(0, a=5), poll(1, a=unknown), poll(2, a=unknown), poll(3, a=2))
    assert [row["bikes"] for row in system.rows] == [5, None, 2]
    assert system.rows[1]["quality"]
    assert system.moves == [("a", "pickup", 3)]


def test_only_so_many_snapshots_are_remembered_and_an_older_one_is_out_of_order():
    system = System(Rules(remembered_events=3))
    polls = [poll(minute, a=minute) for minute in range(5)]
    system.take(*polls)
    assert len(system.state.events) == 3
    assert system.take(polls[2]).poll is None
    assert system.take(polls[0]).poll["verdict"] == "out_of_order"


def test_another_body_of_the_same_feed_time_is_out_of_order_and_its_change_comes_with_the_next():
    system = System()
    system.take(poll(0, a=5), poll(0, a=4), poll(1, a=3))
    assert system.verdicts == ["ok", "out_of_order", "ok"]
    assert "feed time" in system.polls[1]["detail"]
    assert system.moves == [("a", "pickup", 2)]


def test_a_poll_in_which_only_heartbeats_moved_is_no_frozen_feed():
    system = System()
    first = msgspec.json.decode(poll(0, a=5).payload)
    for minute in (0, 1):
        snapshot = poll(minute, a=5)
        body = first | {"data": {"stations": [{**first["data"]["stations"][0], "last_reported": minute}]}}
        system.take(replace(snapshot, payload=msgspec.json.encode(body)))
    assert system.verdicts == ["ok", "ok"]
    assert system.changes == [("a", "first")]


def test_a_body_that_comes_again_with_a_later_time_of_its_own_is_unchanged():
    payload = msgspec.json.encode({"data": {"stations": [station("a")]}})
    system = System()
    system.take(snapshot(payload, feed_ts=at(0)), snapshot(payload, feed_ts=at(1)))
    assert system.verdicts == ["ok", "unchanged"]


def test_an_empty_blip_is_suspect_and_invents_nothing():
    system = System()
    system.take(poll(0, **TEN))
    before = system.state
    curated = system.take(poll(1))
    assert (curated.poll["verdict"], curated.poll["stations"], curated.poll["bikes"]) == ("suspect", 0, None)
    assert curated.state.stations == before.stations
    system.take(poll(2, **TEN))
    assert (system.moves, system.rows[10:]) == ([], [])
    assert system.verdicts == ["ok", "suspect", "unchanged"]


@pytest.mark.parametrize(
    ("listed", "verdict", "detail"),
    [
        ("cdefghij", "ok", None),
        ("defghij", "suspect", "3 of 10 stations are missing"),
        ("defghijxyz", "suspect", "3 of 10 stations are missing"),  # new ones do not make up for missing ones
    ],
)
def test_more_than_a_fifth_of_the_stations_missing_is_suspect(listed, verdict, detail):
    system = System()
    system.take(poll(0, **TEN), poll(1, **dict.fromkeys(listed, 5)))
    assert (system.polls[1]["verdict"], system.polls[1]["detail"]) == (verdict, detail)


def test_stations_that_were_not_listed_before_are_not_missed():
    system = System()
    system.take(
        poll(0, **TEN), poll(1, **dict.fromkeys("cdefghij", 5)), poll(2, **dict.fromkeys("defghij", 5))
    )
    assert system.verdicts == ["ok", "ok", "ok"]


def test_a_feed_that_stays_shrunk_is_accepted_after_half_an_hour_with_all_that_moved():
    system = System()
    system.take(poll(0, **TEN))
    system.take(*(poll(minute, a=5 - min(minute, 3), b=5) for minute in range(1, 33)))
    assert system.verdicts == ["ok"] + 30 * ["suspect"] + ["ok", "unchanged"]
    assert system.moves == [("a", "pickup", 3)]
    assert (
        system.polls[-2]["detail"] == system.feed_events[-1].data["detail"] == "8 of 10 stations are missing"
    )


def test_an_empty_feed_is_never_accepted_and_starts_the_half_hour_again():
    system = System()
    system.take(poll(0, **TEN), *(poll(minute) for minute in range(1, 120)))
    assert set(system.verdicts[1:]) == {"suspect"}
    assert system.take(poll(120, a=5)).poll["verdict"] == "suspect"
    assert system.take(poll(160)).poll["verdict"] == "suspect"
    assert system.take(poll(161, a=5)).poll["verdict"] == "suspect"


def test_a_feed_event_marks_when_a_feed_becomes_suspect_and_when_it_recovers():
    system = System()
    system.take(poll(0, **TEN), poll(1), poll(2), poll(3, a=1), poll(4, **TEN), poll(5, **TEN))
    assert [(n.type, n.system_id, n.at) for n in system.feed_events] == [
        ("feed.suspect", "velib", at(1) + timedelta(seconds=1)),
        ("feed.recovered", "velib", at(4) + timedelta(seconds=1)),
    ]
    assert system.feed_events[0].data["detail"] == "no stations"
    assert len({n.id for n in system.feed_events}) == 2


def test_a_bad_station_is_rejected_alone():
    curated = System().take(snapshot(body([station("a"), {"num_bikes_available": 3}, station("b")], at(0))))
    assert [reject.reason for reject in curated.rejected] == [Reason.STATION_INVALID]
    assert [row["station_id"] for row in curated.status_rows] == ["a", "b"]
    assert (curated.poll["verdict"], curated.poll["rejected_rows"], curated.poll["stations"]) == ("ok", 1, 2)


def test_a_station_listed_twice_has_one_row_and_the_last_values_count():
    system = System()
    curated = system.take(
        poll(0, a=5, b=5), snapshot(body([station("a", 5), station("b"), station("a", 3)], at(1)))
    )
    assert system.moves == [("a", "pickup", 2)]
    assert "duplicate_differs" in curated.status_rows[0]["quality"]
    assert curated.poll["detail"] == "1 stations listed again, 1 of them differ"


def test_a_body_without_a_list_of_stations_is_poison():
    with pytest.raises(PoisonMessage, match="stations"):
        System().take(snapshot(b'{"last_updated": 1772366400, "data": {}}'))


def test_the_state_of_another_system_is_refused():
    with pytest.raises(ValueError, match="oslo"):
        curate(SystemState(system_id="oslo"), poll(0, a=1))


def test_a_station_that_stays_away_for_a_week_is_forgotten_and_first_when_it_returns():
    rest = dict.fromkeys("bcdefghij", 5)
    system = System()
    system.take(poll(0, **TEN))
    week = 7 * 24 * 60
    system.take(*(poll(minute, **rest) for minute in range(50, week, 50)))
    assert system.state.absent == {"a"}
    system.take(poll(week, **rest))
    assert "a" not in system.state.stations
    system.take(poll(week + 1, **TEN | {"a": 2}))
    assert [change for name, change in system.changes if name == "a"] == ["first", "first"]
    assert system.moves == []


def test_only_so_many_absent_stations_are_remembered_those_gone_last():
    system = System(Rules(max_absent=2, heartbeat=timedelta(minutes=1), missing_share=1.0))
    system.take(poll(0, a=1, b=1, c=1, d=1), poll(1, b=1, c=1, d=1), poll(2, c=1, d=1), poll(3, d=1))
    assert system.state.stations.keys() == {"b", "c", "d"}
    assert system.state.absent == {"b", "c"}


def test_the_poll_row_has_the_totals_of_the_body():
    stations = [
        station("open", 4, num_docks_available=6),
        station("empty", 0),
        station("full", 7, num_docks_available=0),
        station("closed", 0, num_docks_available=0, is_renting=0),
        station("planned", 0, num_docks_available=0, is_installed=False),
        station("unknown", -1, num_docks_available=None),
    ]
    row = System().take(snapshot(body(stations, at(0)))).poll
    assert {name: row[name] for name in row if name not in {"event_id", "feed_ts"}} == {
        "system_id": "velib",
        "feed_ts_source": "last_updated",
        "verdict": "ok",
        "stations": 6,
        "changed": 6,
        "bikes": 11,
        "docks": 16,
        "empty_stations": 1,
        "full_stations": 1,
        "closed_stations": 2,
        "rejected_rows": 0,
        "detail": None,
    }


def test_rows_have_the_columns_of_their_tables_and_fit_them():
    system = System()
    system.take(poll(0, **TEN), poll(1), poll(2, **TEN | {"a": 3, "b": -1}))
    for name, rows in (("station_status", system.rows), ("feed_polls", system.polls)):
        stamped = [row | {"ingest_ts": START} for row in rows]
        kept, _, rejected = RowConverter(tables.table(name)).convert_all(stamped, lambda row: row)
        assert (len(kept), rejected) == (len(rows), [])
        assert set(stamped[0]) == {column.name for column in tables.table(name).columns}


def test_ids_depend_on_system_station_time_and_kind_alone():
    def event_id(**changes) -> str:
        first, second = poll(0, a=5), snapshot(body([station("a", 4, other=1)], at(1)))
        replaced = [
            Snapshot(**{n: getattr(s, n) for n in Snapshot.__slots__} | changes) for s in (first, second)
        ]
        system = System()
        system.take(*replaced)
        return system.events[0]["event_id"]

    assert event_id() == event_id(city_id="elsewhere", feed_ts_source="date_header")
    assert event_id() != event_id(system_id="oslo")
