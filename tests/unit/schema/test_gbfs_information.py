from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from pmp_schema import gbfs
from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.tables import table

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "examples" / "gbfs"


def example(name: str) -> gbfs.Document:
    return gbfs.decode((EXAMPLES / name).read_bytes())


def row(**values):
    station = {"station_id": "a", "name": "A", "lat": 1.5, "lon": 2.5} | values
    (found,) = gbfs.flatten_information(gbfs.Document({"data": {"stations": [station]}})).stations
    return found


def information(station_id, **values):
    fields = gbfs.StationInformation.__struct_fields__
    columns = dict.fromkeys(f for f in fields if f not in {"station_id", "quality"})
    return gbfs.StationInformation(station_id=station_id, **(columns | values))


def test_the_velib_dialect_is_read():
    assert gbfs.flatten_information(example("velib_station_information.json")).stations == [
        information("100200300", station_code="16001", name="Quai Neuf", lat=48.86, lon=2.27, capacity=35),
        information(
            "19000000001", station_code="92001", name="Place du Test", lat=48.83, lon=2.23, capacity=0
        ),
    ]


def test_of_version_3_texts_the_english_ones_are_read():
    found = gbfs.flatten_information(example("v3_station_information.json"))
    assert found.stations == [
        information(
            "a", name="Station", lat=44.8, lon=-0.5, capacity=42, address="1 rue de la Gare", region_id="33"
        ),
        information("test", quality=("name_missing", "position_zero")),
    ]


def test_wrapped_stations_are_unwrapped():
    found = gbfs.flatten_information(example("wrapped_station_information.json"))
    assert found.stations == [information("11186", name="Lastenrad", lat=49.1, lon=8.1)]
    assert found.rejected == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Gare", "Gare"),
        ([{"text": "Bahnhof", "language": "de"}, {"text": "Estació", "language": "ca"}], "Bahnhof"),
        ([{"text": "Gare"}], "Gare"),
        ([{"text": "", "language": "en"}, {"text": "Gare", "language": "fr"}], "Gare"),
        (12, "12"),
        ("  ", None),
        ([], None),
        (None, None),
        ({}, None),
        (True, None),
        ([3, {"text": 4}, {"language": "en"}], None),
    ],
)
def test_a_name_is_text_or_missing(written, read):
    found = row(name=written)
    assert found.name == read
    assert found.quality == (("name_missing",) if read is None else ())


@pytest.mark.parametrize(
    ("lat", "lon", "finding"),
    [
        ("48.8", " -2.5 ", None),
        (90, -180, None),
        (0, 6.1, None),
        (None, None, "position_missing"),
        (48.8, None, "position_missing"),
        (0, 0, "position_zero"),
        (0.0, -0.0, "position_zero"),
        (90.1, 2, "position_invalid"),
        (48.8, -180.5, "position_invalid"),
        (2**70, 0, "position_invalid"),
        (float("nan"), 2, "position_invalid"),
        (True, 2, "position_invalid"),
        ("north", 2, "position_invalid"),
        ([], 2, "position_invalid"),
    ],
)
def test_an_unusable_position_is_unknown_as_a_whole(lat, lon, finding):
    found = row(lat=lat, lon=lon)
    expected = (float(lat), float(lon), ()) if finding is None else (None, None, (finding,))
    assert (found.lat, found.lon, found.quality) == expected


@pytest.mark.parametrize(
    ("written", "read", "quality"),
    [
        (0, 0, ()),
        (12, 12, ()),
        (None, None, ()),
        (-3, None, ("capacity_negative",)),
        (999999, None, ("capacity_implausible",)),
    ],
)
def test_a_capacity_is_kept_where_it_can_be_true(written, read, quality):
    found = row(capacity=written)
    assert (found.capacity, found.quality) == (read, quality)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"stationCode": "16107", "short_name": "x"}, "16107"),
        ({"stationCode": 16107}, "16107"),
        ({"short_name": "8430.03"}, "8430.03"),
        ({"short_name": [{"text": "PGA", "language": "en"}]}, "PGA"),
        ({}, None),
    ],
)
def test_the_printed_id_is_the_station_code(values, code):
    assert row(**values).station_code == code


@pytest.mark.parametrize("read", [gbfs.flatten_information, partial(gbfs.flatten_status, ingest_at=NOW)])
def test_a_document_needs_a_list_of_stations_which_may_be_empty(read):
    for root in ({}, {"data": {}}, {"data": {"stations": None}}, {"data": {"bikes": []}}):
        with pytest.raises(PoisonMessage) as caught:
            read(gbfs.Document(root))
        assert caught.value.reason is Reason.SCHEMA
    empty = gbfs.Flattened(stations=[], rejected=[], duplicates=0, conflicts=0)
    assert read(gbfs.Document({"data": {"stations": []}})) == empty


@pytest.mark.parametrize(
    ("name", "model"),
    [("station_information", gbfs.StationInformation), ("station_status", gbfs.StationStatus)],
)
def test_every_field_is_a_column_of_its_table(name, model):
    lacking = set(model.__struct_fields__) - {column.name for column in table(name).columns}
    assert lacking == ({"quality"} if name == "station_information" else set())
