"""The fast way of reading a body and the general one give the same result."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmp_curation.core.observation import observe, observe_any, observe_plain, reported
from pmp_schema.errors import PoisonMessage
from pmp_schema.gbfs import StatusReader
from tests.unit.curation.core.system import START, at, body, station
from tests.unit.schema.test_gbfs_properties import ENTRIES

COUNT = st.one_of(
    st.integers(-2, 60),
    st.sampled_from([999999, 99_999, 2**70, None, "7", " 7 ", "-1", "seven", "7.0", ""]),
)
FLAG = st.sampled_from([0, 1, 2, True, False, "0", "1", "OUI", "NON", "maybe", None])
REPORTED = st.sampled_from(
    [0, 18001, 86400, 1772366400, 1772366401.5, "1772366400", "2026-03-01T12:00:00Z", "x", None, 2**70, True]
)
ONE_KEY = st.dictionaries(st.sampled_from(["mechanical", "ebike"]), COUNT, min_size=1, max_size=1)
# A body with brackets in a string may count as deep, and then it is not plain.
NAME = st.text(st.characters(codec="utf-8", exclude_characters="[]{}"), min_size=1, max_size=6)
TYPES = st.one_of(
    st.lists(ONE_KEY, max_size=3),
    st.dictionaries(st.sampled_from(["mechanical", "ebike", "smart"]), COUNT, max_size=3),
    st.lists(
        st.fixed_dictionaries({"vehicle_type_id": st.sampled_from(["bike", "ebike", "YCZ"]), "count": COUNT}),
        max_size=3,
    ),
)
FIELDS = {
    **dict.fromkeys(
        [
            *("num_bikes_available", "numBikesAvailable", "num_vehicles_available", "num_docks_available"),
            *("numDocksAvailable", "num_bikes_disabled", "num_vehicles_disabled", "num_ebikes_available"),
            "num_scooters_available",
        ],
        COUNT,
    ),
    **dict.fromkeys(["num_bikes_available_types", "vehicle_types_available"], TYPES),
    **dict.fromkeys(["is_installed", "is_renting", "is_returning"], FLAG),
    "last_reported": REPORTED,
    "traffic": st.none() | st.lists(st.integers(), max_size=2),
    "data": st.dictionaries(NAME, st.integers(), max_size=1),
}
VALUES = st.fixed_dictionaries({}, optional=FIELDS)
IDS = st.lists(st.integers(0, 2**40) | NAME, max_size=6)
PLAIN = IDS.flatmap(lambda ids: st.tuples(*(VALUES.map(lambda v, i=i: {"station_id": i} | v) for i in ids)))


def document(listed) -> bytes:
    return json.dumps({"last_updated": 1772366400, "data": {"stations": list(listed)}}).encode()


def results(observed) -> tuple:
    """All that rows and polls are made of."""
    reader = StatusReader(START)
    stations = {
        name: (reading.values, reading.is_closed, reading.is_empty, reading.is_full)
        for name, (reading, _) in observed.stations.items()
    }
    dated = {name: reported(reader, observation) for name, observation in observed.stations.items()}
    return list(stations), stations, dated, observed.rejected, observed.duplicates, observed.conflicts


def distinct(listed) -> bool:
    ids = [str(entry["station_id"]).strip() for entry in listed]
    return len(set(ids)) == len(ids) and all(ids)


@given(PLAIN)
def test_every_dialect_is_read_fast_and_as_by_the_general_way(listed):
    payload = document(listed)
    fast = observe_plain(payload)
    assert (fast is not None) == distinct(listed)
    if fast is not None:
        assert results(fast) == results(observe_any(payload, START))


@settings(max_examples=50)
@given(ENTRIES)
def test_whatever_is_read_fast_is_read_as_by_the_general_way(listed):
    payload = document(listed)
    assert results(observe(payload, START)) == results(observe_any(payload, START))


@settings(max_examples=40)
@given(st.lists(PLAIN, max_size=4))
def test_what_was_read_before_changes_nothing(series):
    alone = [results(observe_any(document(listed), START)) for listed in series]
    assert [results(observe(document(listed), START)) for listed in series] == alone


@pytest.mark.parametrize("pair", [(1, True), (1, "1"), (1, 1.0), (0, False), (1, None)])
def test_values_that_python_takes_for_equal_are_told_apart(pair):
    for value in (*pair, *pair):
        payload = body([station("a", value, num_docks_available=value)], at(0))
        assert results(observe(payload, START)) == results(observe_any(payload, START))


def outcome(read, payload: bytes):
    try:
        return results(read(payload, START))
    except PoisonMessage as error:
        return error.reason


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b"<html>",
        b'{"data": {"stations": 3}}',
        b'{"data": {"stations": [{"station_id": 1}, 2]}}',
        b'{"stations": [{"station_id": 1}]}',
        b'{"data": {"stations": [{"station_id": 1.0}]}}',
        b'{"data": {"stations": [{"station_id": true}]}}',
        b'{"data": {"stations": [{"data": {"station_id": 1, "num_bikes_available": 3}}]}}',
        b'{"data": {"stations": [{"station_id": 1, "x": "\xff"}]}}',
        b'{"data": {"stations": [{"station_id": 1, "num_bikes_available_types": [1e999]}]}}',
        b'{"data": {"stations": [{"station_id": 1, "station_id": 2}]}}',
        b'{"data": {"stations": [{"station_id": 1}]}, "x": ' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"data": {"stations": [{"station_id": 1}]}, "x": ' + b"[" * 200,
        b'\xef\xbb\xbf{"data": {"stations": [{"station_id": 1}]}}',
    ],
)
def test_odd_bodies_end_as_by_the_general_way(payload):
    assert outcome(observe, payload) == outcome(observe_any, payload)
