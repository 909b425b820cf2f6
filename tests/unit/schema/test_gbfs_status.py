from datetime import UTC, datetime
from pathlib import Path

import pytest

from pmp_schema import gbfs
from pmp_schema.errors import Reason

EXAMPLES = Path(__file__).parents[2] / "examples" / "gbfs"
INGEST_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def example(name: str) -> gbfs.Document:
    return gbfs.decode((EXAMPLES / name).read_bytes())


def flatten(*stations):
    document = gbfs.Document({"data": {"stations": list(stations)}})
    return gbfs.flatten_status(document, ingest_at=INGEST_AT)


def row(station_id="a", **values):
    """One flattened station without other findings."""
    (found,) = flatten({"station_id": station_id, "num_bikes_available": 0} | values).stations
    return found


def status(station_id, **values):
    columns = dict.fromkeys(
        f for f in gbfs.StationStatus.__struct_fields__ if f not in {"station_id", "quality"}
    )
    return gbfs.StationStatus(station_id=station_id, **(columns | values))


def test_the_velib_dialect_is_read():
    found = gbfs.flatten_status(example("velib_station_status.json"), ingest_at=INGEST_AT)
    assert found.stations == [
        status(
            "100200300",
            reported_ts=datetime(2025, 10, 18, 8, 31, 34, tzinfo=UTC),
            bikes=5,
            docks=30,
            mechanical=1,
            ebikes=4,
            other_vehicles=0,
            is_installed=True,
            is_renting=True,
            is_returning=True,
        ),
        status(
            "19000000001",
            reported_ts=datetime(2018, 1, 1, tzinfo=UTC),
            bikes=0,
            docks=0,
            mechanical=0,
            ebikes=0,
            other_vehicles=0,
            is_installed=False,
            is_renting=False,
            is_returning=False,
        ),
    ]


def test_version_3_is_read_and_opaque_vehicle_types_are_other():
    found = gbfs.flatten_status(example("v3_station_status.json"), ingest_at=INGEST_AT)
    reported = datetime(2026, 2, 22, 8, 38, tzinfo=UTC)
    assert found.stations == [
        status(
            "a",
            reported_ts=reported,
            bikes=3,
            mechanical=1,
            ebikes=2,
            other_vehicles=0,
            bikes_disabled=2,
            is_installed=True,
            is_renting=True,
            is_returning=False,
        ),
        status(
            "b",
            reported_ts=reported,
            bikes=1,
            other_vehicles=1,
            is_installed=True,
            is_renting=True,
            is_returning=True,
            quality=("types_unknown",),
        ),
    ]


@pytest.mark.parametrize(
    ("values", "bikes", "quality"),
    [
        ({"num_bikes_available": 4}, 4, ()),
        ({"num_vehicles_available": 4}, 4, ()),
        ({"numBikesAvailable": 4}, 4, ()),
        ({"num_bikes_available": None, "num_vehicles_available": 5}, 5, ()),
        ({"num_bikes_available": 4, "num_vehicles_available": 5}, 4, ("bikes_differs",)),
        ({}, None, ("bikes_missing",)),
    ],
)
def test_bikes_are_found_under_every_key_and_the_standard_key_wins(values, bikes, quality):
    (found,) = flatten({"station_id": "a", **values}).stations
    assert found == status("a", bikes=bikes, quality=quality)


@pytest.mark.parametrize(
    ("written", "read", "finding"),
    [
        (None, None, None),
        (3, 3, None),
        (3.0, 3, None),
        ("3", 3, None),
        (" 3.0 ", 3, None),
        (0, 0, None),
        (-1, None, "docks_negative"),
        ("-1", None, "docks_negative"),
        (999999, None, "docks_implausible"),
        (2**70, None, "docks_implausible"),
        (1e300, None, "docks_implausible"),
        (3.5, None, "docks_invalid"),
        (float("nan"), None, "docks_invalid"),
        (True, None, "docks_invalid"),
        ("many", None, "docks_invalid"),
        ([3], None, "docks_invalid"),
        ({}, None, "docks_invalid"),
    ],
)
def test_a_count_is_a_small_whole_number_or_unknown_with_a_finding(written, read, finding):
    found = row(num_docks_available=written)
    assert found.docks == read
    assert found.quality == (() if finding is None else (finding,))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        (1.0, True),
        ("1", True),
        ("0", False),
        ("true", True),
        ("False", False),
        ("OUI", True),
        ("NON", False),
        (None, None),
        *((odd, "flag_invalid") for odd in (2, -1, "maybe", "", [], {}, 0.5, 2**70)),
    ],
)
def test_a_boolean_is_read_in_every_spelling(written, read):
    found = row(is_renting=written, is_returning=written)
    expected = (None, (read,)) if read == "flag_invalid" else (read, ())
    assert (found.is_renting, found.quality) == expected
    assert found.is_returning is found.is_renting


IMPLAUSIBLE = [0, 18001, 86400, 1450137599, 1772366701, "2026-03-01T12:05:00.5Z", True, "now", 2**70, [], -1]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (1772366400, INGEST_AT),
        (1772366400.0, INGEST_AT),
        ("2026-03-01T13:00:00+01:00", INGEST_AT),
        (1772366700, datetime(2026, 3, 1, 12, 5, tzinfo=UTC)),
        (1450137600, datetime(2015, 12, 15, tzinfo=UTC)),
        *((written, None) for written in IMPLAUSIBLE),
    ],
)
def test_a_report_time_is_kept_where_plausible(written, read):
    found = row(last_reported=written)
    assert (found.reported_ts, found.quality) == (read, () if read else ("reported_implausible",))


@pytest.mark.parametrize(
    ("written", "read"), [(19179944124, "19179944124"), (" a-1 ", "a-1"), (0, "0"), (2**70, str(2**70))]
)
def test_an_id_is_text(written, read):
    assert row(station_id=written).station_id == read


@pytest.mark.parametrize(
    "entry",
    [
        None,
        3,
        "a",
        [],
        {},
        {"num_bikes_available": 3},
        *({"station_id": odd} for odd in (None, "", " ", True, 1.5, [], {})),
    ],
)
def test_one_bad_station_is_one_reject_and_never_the_snapshot(entry):
    found = flatten({"station_id": "a"}, entry, {"station_id": "b"})
    assert [s.station_id for s in found.stations] == ["a", "b"]
    (reject,) = found.rejected
    assert (reject.raw, reject.reason) == (entry, Reason.STATION_INVALID)


def test_of_duplicates_the_last_is_kept_and_flagged_where_it_differs():
    same = flatten(*({"station_id": name, "num_bikes_available": 2} for name in (1, "1")))
    assert [(s.station_id, s.bikes, s.quality) for s in same.stations] == [("1", 2, ())]
    assert (same.duplicates, same.conflicts) == (1, 0)
    found = flatten(*({"station_id": "1", "num_bikes_available": n} for n in (2, 2, 3)), {"station_id": "2"})
    assert [(s.station_id, s.bikes, s.quality) for s in found.stations] == [
        ("1", 3, ("duplicate_differs",)),
        ("2", None, ("bikes_missing",)),
    ]
    assert (found.duplicates, found.conflicts) == (2, 1)
