from datetime import UTC, datetime
from pathlib import Path

import pytest

from pmp_schema import gbfs

EXAMPLES = Path(__file__).parents[2] / "examples" / "gbfs"
INGEST_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def example(name: str) -> gbfs.Document:
    return gbfs.decode((EXAMPLES / name).read_bytes())


def row(**values):
    document = gbfs.Document({"data": {"stations": [{"station_id": "a"} | values]}})
    (found,) = gbfs.flatten_status(document, ingest_at=INGEST_AT).stations
    return found


def test_the_lyft_dialect_includes_ebikes_in_the_total():
    found = gbfs.flatten_status(example("lyft_station_status.json"), ingest_at=INGEST_AT).stations
    assert [(s.bikes, s.mechanical, s.ebikes, s.other_vehicles, s.bikes_disabled) for s in found] == [
        (7, 4, 3, 2, 1),
        (0, 0, 0, None, 0),
    ]
    assert found[1].reported_ts is None
    assert found[1].quality == ("reported_implausible",)


@pytest.mark.parametrize(
    ("breakdown", "split", "finding"),
    [
        ({"num_bikes_available_types": [{"mechanical": 2}, {"ebike": 1}]}, (2, 1, 0), None),
        ({"num_bikes_available_types": [{"mechanical": 2, "ebike": 1}]}, (2, 1, 0), None),
        ({"num_bikes_available_types": {"mechanical": 2, "ebike": 1}}, (2, 1, 0), None),
        ({"num_bikes_available_types": {"electric": 1, "smart": 0, "classic": 2}}, (2, 1, 0), None),
        ({"num_bikes_available_types": {"Electric": 1, "tandem": 2}}, (0, 1, 2), None),
        ({"vehicle_types_available": [{"vehicle_type_id": "bike", "count": 3}]}, (3, 0, 0), None),
        (
            {
                "vehicle_types_available": [
                    {"vehicle_type_id": "bike", "count": 1},
                    {"vehicle_type_id": "bike", "count": 2},
                ]
            },
            (3, 0, 0),
            None,
        ),
        ({"num_ebikes_available": 1}, (2, 1, None), None),
        ({"num_ebikes_available": 1, "num_scooters_available": 4}, (2, 1, 4), None),
        ({}, (None, None, None), None),
        ({"vehicle_types_available": []}, (None, None, None), None),
        ({"num_bikes_available_types": None}, (None, None, None), None),
        ({"num_bikes_available_types": {"mechanical": 1}}, (1, 0, 0), "types_sum_differs"),
        ({"num_ebikes_available": 4}, (None, 4, None), "types_sum_differs"),
        ({"num_ebikes_available": -4}, (None, None, None), "types_invalid"),
        ({"vehicle_types_available": "bike"}, (None, None, None), "types_invalid"),
        ({"vehicle_types_available": 7}, (None, None, None), "types_invalid"),
        ({"vehicle_types_available": [None]}, (None, None, None), "types_invalid"),
        (
            {"vehicle_types_available": [{"vehicle_type_id": [], "count": 3}]},
            (None, None, None),
            "types_invalid",
        ),
        (
            {
                "vehicle_types_available": [
                    {"vehicle_type_id": "bike", "count": 3},
                    {"vehicle_type_id": "ebike", "count": -1},
                ]
            },
            (3, 0, 0),
            "types_invalid",
        ),
        ({"num_bikes_available_types": {"x-1": 3}}, (None, None, 3), "types_unknown"),
    ],
)
def test_vehicles_are_split_by_kind_in_every_dialect_and_never_change_the_total(breakdown, split, finding):
    found = row(num_bikes_available=3, **breakdown)
    assert (found.bikes, found.mechanical, found.ebikes, found.other_vehicles) == (3, *split)
    assert found.quality == (() if finding is None else (finding,))


@pytest.mark.parametrize("nothing", [[], {}])
def test_an_empty_breakdown_of_an_empty_station_means_zero(nothing):
    found = row(num_bikes_available=0, num_bikes_available_types=nothing)
    assert (found.mechanical, found.ebikes, found.other_vehicles) == (0, 0, 0)
