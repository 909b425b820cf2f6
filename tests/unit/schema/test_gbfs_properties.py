import json
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pmp_schema import gbfs
from pmp_schema.errors import PoisonMessage
from pmp_schema.gbfs.station_status import FIRST_REPORTED_AT, REPORTED_SLACK

INGEST_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["1", "-1", "OUI", 999999, 2**70, 1772366400, "2026-03-01T12:00:00Z", "bike", "ebike"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
TYPE_COUNTS = st.one_of(
    JSON,
    st.dictionaries(st.sampled_from(["mechanical", "ebike", "classic", "x"]), SCALARS, max_size=3),
    st.lists(st.fixed_dictionaries({"vehicle_type_id": SCALARS, "count": SCALARS}), max_size=3),
    st.lists(st.dictionaries(st.sampled_from(["mechanical", "ebike"]), SCALARS, max_size=2), max_size=3),
)
NAMES = JSON | st.lists(st.fixed_dictionaries({"text": SCALARS, "language": SCALARS}), max_size=3)
STATION = st.fixed_dictionaries(
    {"station_id": st.sampled_from(["a", " a", 1, "1", "b", "", None, True]) | SCALARS},
    optional={
        "num_bikes_available": JSON,
        "num_vehicles_available": JSON,
        "numBikesAvailable": JSON,
        "num_docks_available": JSON,
        "num_bikes_disabled": JSON,
        "num_ebikes_available": JSON,
        "num_scooters_available": JSON,
        "num_bikes_available_types": TYPE_COUNTS,
        "vehicle_types_available": TYPE_COUNTS,
        "is_installed": JSON,
        "is_renting": JSON,
        "last_reported": JSON,
        "name": NAMES,
        "short_name": NAMES,
        "lat": JSON,
        "lon": JSON,
        "capacity": JSON,
        "region_id": JSON,
        "data": JSON,
    },
)
ENTRIES = st.lists(
    st.one_of(STATION, STATION.map(lambda s: {"data": s, "headers": [], "status": 200}), JSON), max_size=6
)


def snapshot(entries) -> gbfs.Document:
    return gbfs.decode(json.dumps({"last_updated": 1772366400, "data": {"stations": entries}}).encode())


def flatten_both(document: gbfs.Document):
    return (
        gbfs.flatten_status(document, ingest_at=INGEST_AT),
        gbfs.flatten_information(document),
    )


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_poison(body):
    try:
        document = gbfs.decode(body)
        gbfs.feed_time(document, fetched_at=INGEST_AT)
        gbfs.station_count(document)
        flatten_both(document)
    except PoisonMessage:
        return


@given(
    st.dictionaries(st.sampled_from(["last_updated", "lastUpdatedOther", "data", "feeds", "stations"]), JSON),
    st.none() | st.text(max_size=40),
    st.none() | st.text(max_size=6),
)
def test_any_object_has_a_time_and_feeds_or_is_poison(root, header, language):
    document = gbfs.Document(root)
    found = gbfs.feed_time(document, fetched_at=INGEST_AT, date_header=header)
    assert found.at.utcoffset() == timedelta(0)
    assert datetime(2000, 1, 1, tzinfo=UTC) <= found.at <= INGEST_AT + timedelta(days=1)
    try:
        assert all(
            url.lower().startswith("http") for url in gbfs.feed_urls(document, language=language).values()
        )
    except PoisonMessage:
        return


@given(ENTRIES)
def test_every_entry_is_a_row_or_a_counted_reject_or_a_counted_duplicate(entries):
    for found in flatten_both(snapshot(entries)):
        assert len(found.stations) + len(found.rejected) + found.duplicates == len(entries)
        assert found.conflicts <= found.duplicates
        assert len({s.station_id for s in found.stations}) == len(found.stations)


@given(ENTRIES)
def test_rows_hold_only_what_their_columns_can_hold(entries):
    status, information = flatten_both(snapshot(entries))
    for row in (*status.stations, *information.stations):
        assert row.station_id == row.station_id.strip() != ""
        assert len(set(row.quality)) == len(row.quality)
    for row in status.stations:
        for count in (
            row.bikes,
            row.docks,
            row.mechanical,
            row.ebikes,
            row.other_vehicles,
            row.bikes_disabled,
        ):
            assert count is None or (type(count) is int and 0 <= count < 2**63)
        for flag in (row.is_installed, row.is_renting, row.is_returning):
            assert flag is None or type(flag) is bool
        if row.reported_ts is not None:
            assert FIRST_REPORTED_AT <= row.reported_ts <= INGEST_AT + REPORTED_SLACK
    for row in information.stations:
        assert (row.lat is None) == (row.lon is None)
        assert row.lat is None or (-90 <= row.lat <= 90 and -180 <= row.lon <= 180)
        assert all(
            text is None or text.strip() for text in (row.name, row.station_code, row.address, row.region_id)
        )


@given(ENTRIES)
def test_a_reject_can_be_written_as_it_came(entries):
    for found in flatten_both(snapshot(entries)):
        assert all(
            gbfs.decode_json(msgspec.json.encode(reject.raw)) == reject.raw for reject in found.rejected
        )
