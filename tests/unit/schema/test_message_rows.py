import gzip
import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from pmp_runtime.bigquery.append.row_values import RowConverter
from pmp_schema import message_rows
from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.message import Message
from pmp_schema.tables import table

NOW = datetime(2026, 1, 24, 16, 30, tzinfo=UTC)
PUBLISHED = datetime(2026, 1, 24, 16, 0, 1, tzinfo=UTC)
EVENT = {
    "event_id": "e-1",
    "station_id": "A_101",
    "ts_iso": "2026-01-24 16:00:00",
    "kind": "pickup",
    "delta": 2,
}
STATIONS = [
    {"station_id": 1, "name": "A", "lat": 48.8, "lon": 2.3, "capacity": 20, "stationCode": "16107"},
    {"station_id": "2"},
]


DEEP = {}
for _ in range(200):
    DEEP = {"a": DEEP}


def message(data, **attributes):
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return Message(data=data, message_id="7", attributes=attributes, publish_ts=PUBLISHED)


def snapshot(payload, event_type="station_status_snapshot", **changes):
    return {
        "ingest_ts": "2026-01-24T16:00:00Z",
        "event_ts": "2026-01-24T15:59:00Z",
        "source": "velib",
        "event_type": event_type,
        "key": f"velib:{event_type}",
        "payload": payload,
    } | changes


def information(stations):
    return snapshot({"data": {"stations": stations}}, "station_information_snapshot")


def reason_of(build, given):
    with pytest.raises(PoisonMessage) as poison:
        build(given, NOW)
    return poison.value.reason


def test_a_sensor_event_is_a_row():
    rowset = message_rows.sensor_event_rows(message(EVENT), NOW)
    assert rowset.table == "raw_events"
    assert rowset.rows == [
        {
            "event_id": "e-1",
            "city_id": "unknown",
            "station_id": "A_101",
            "ts_iso": datetime(2026, 1, 24, 16, tzinfo=UTC),
            "kind": "pickup",
            "delta": 2,
            "event_date": date(2026, 1, 24),
            "source": "sensor",
            "extra": None,
            "message_id": "7",
            "publish_ts": PUBLISHED,
        }
    ]


@pytest.mark.parametrize(
    ("build", "given", "columns"),
    [
        (
            message_rows.sensor_event_rows,
            EVENT | {"ts_iso": "2026-01-24T00:30:00+01:00"},
            {"event_date": date(2026, 1, 23)},
        ),
        (
            message_rows.sensor_event_rows,
            EVENT | {"city_id": "paris", "x": 1},
            {"city_id": "paris", "extra": b'{"x":1}'},
        ),
        (message_rows.sensor_event_rows, EVENT | {"source": "derived"}, {"source": "derived", "extra": None}),
        (
            message_rows.ops_event_rows,
            {"id": "o-1", "type": "feed.polled"},
            {"time": PUBLISHED, "source": "unknown"},
        ),
        (message_rows.snapshot_rows, snapshot({"error": "maintenance"}), {"station_count": None}),
    ],
)
def test_a_sole_row_stands_for_its_whole_message(build, given, columns):
    rowset = build(message(given), NOW)
    (row,) = rowset.rows
    assert {name: row[name] for name in columns} == columns
    assert rowset.part(rowset.rows) == message(given).data


@pytest.mark.parametrize(
    ("build", "given", "reason"),
    [
        (message_rows.sensor_event_rows, EVENT | {"ts_iso": "0"}, Reason.TIMESTAMP_OUT_OF_RANGE),
        (message_rows.sensor_event_rows, EVENT | {"ts_iso": "soon"}, Reason.TIMESTAMP_INVALID),
        (message_rows.ops_event_rows, {"id": "o-1", "type": "t", "time": "soon"}, Reason.TIMESTAMP_INVALID),
        (
            message_rows.snapshot_rows,
            snapshot({}, event_ts="9999-01-01T00:00:00Z"),
            Reason.TIMESTAMP_OUT_OF_RANGE,
        ),
        (message_rows.snapshot_rows, snapshot(DEEP), Reason.TOO_DEEP),
        (message_rows.station_information_rows, snapshot({}), Reason.UNKNOWN_EVENT_TYPE),
        (message_rows.station_information_rows, information([]), Reason.NO_STATIONS),
        (message_rows.station_information_rows, information({}), Reason.SCHEMA),
        (message_rows.station_information_rows, information([0] * 100_001), Reason.TOO_LARGE),
    ],
)
def test_a_message_that_cannot_become_rows_has_its_reason(build, given, reason):
    assert reason_of(build, message(given)) is reason


def test_a_snapshot_is_a_row_with_its_payload_unchanged():
    payload = b'{ "ttl": 60, "data": {"stations": [{}, null]}, "big": 1180591620717411303424 }'
    data = json.dumps(snapshot("?")).encode().replace(b'"?"', payload)
    rowset = message_rows.snapshot_rows(message(data, **{"ce-id": "id-1", "x": "é"}), NOW)
    assert rowset.table == "feed_snapshots"
    assert rowset.rows == [
        {
            "event_id": "id-1",
            "system_id": "velib",
            "event_type": "station_status_snapshot",
            "key": "velib:station_status_snapshot",
            "source": "velib",
            "event_ts": datetime(2026, 1, 24, 15, 59, tzinfo=UTC),
            "payload": payload,
            "payload_sha256": hashlib.sha256(payload).hexdigest(),
            "station_count": 2,
            "message_id": "7",
            "publish_ts": PUBLISHED,
            "attributes": '{"ce-id":"id-1","x":"é"}'.encode(),
        }
    ]


def test_a_snapshot_without_an_id_gets_one_of_its_content():
    def id_of(given):
        (row,) = message_rows.snapshot_rows(given, NOW).rows
        return row["event_id"]

    first = message(snapshot({}))
    assert id_of(first) == id_of(replace(first, message_id="8")) == id_of(message(snapshot({}, key="other")))
    assert id_of(first) != id_of(message(snapshot({"a": 1})))


def test_gzip_and_plain_make_the_same_row():
    plain = message(snapshot({}))
    zipped = replace(plain, data=gzip.compress(plain.data), attributes={"content-encoding": "gzip"})
    (row,), (same,) = (
        message_rows.snapshot_rows(plain, NOW).rows,
        message_rows.snapshot_rows(zipped, NOW).rows,
    )
    assert row | {"attributes": same["attributes"]} == same


@pytest.mark.parametrize(
    "build", [b for route, b in message_rows.BY_ROUTE.items() if route != "dead-letters"]
)
def test_more_than_9_mb_is_too_large(build):
    assert reason_of(build, message(b'{"a":"' + b"x" * 9_000_000 + b'"}')) is Reason.TOO_LARGE


def test_station_information_is_a_row_per_station():
    rowset = message_rows.station_information_rows(message(information(STATIONS), **{"ce-id": "id-1"}), NOW)
    same = {
        "system_id": "velib",
        "feed_ts": datetime(2026, 1, 24, 15, 59, tzinfo=UTC),
        "event_id": "id-1",
        "message_id": "7",
        "publish_ts": PUBLISHED,
        "address": None,
        "region_id": None,
    }
    nothing = dict.fromkeys(["station_code", "name", "lat", "lon", "capacity"])
    assert rowset.table == "station_information"
    assert rowset.rejected == []
    assert rowset.rows == [
        same
        | {"station_id": "1", "station_code": "16107", "name": "A", "lat": 48.8, "lon": 2.3, "capacity": 20},
        same | nothing | {"station_id": "2"},
    ]


def test_bad_stations_are_one_dead_letter_and_the_others_are_rows():
    bad = [None, {"station_id": ""}, {"name": "no id", "big": 2**70}]
    rowset = message_rows.station_information_rows(
        message(information([STATIONS[0], *bad, STATIONS[1]])), NOW
    )
    assert [row["station_id"] for row in rowset.rows] == ["1", "2"]
    (rejected,) = rowset.rejected
    assert rejected.reason is Reason.STATION_INVALID
    assert rejected.detail.startswith("3 stations; first: ")
    assert json.loads(rejected.data) == information(bad)


def test_a_part_is_the_same_snapshot_with_fewer_stations():
    stations = [*STATIONS, {"station_id": 3, "name": "C", "unknown": [1]}]
    rowset = message_rows.station_information_rows(message(information(stations)), NOW)
    assert json.loads(rowset.part([rowset.rows[0], rowset.rows[2]])) == information(
        [stations[0], stations[2]]
    )
    again = message_rows.station_information_rows(message(rowset.part(rowset.rows[1:2])), NOW)
    assert [row["station_id"] for row in again.rows] == ["2"]


def test_an_ops_event_is_a_row():
    event = {
        "specversion": "1.0",
        "id": "o-1",
        "type": "feed.polled",
        "source": "pmp-collector",
        "subject": "velib",
        "time": "2026-01-24T16:00:00Z",
        "data": {"outcome": "unchanged"},
    }
    rowset = message_rows.ops_event_rows(message(event), NOW)
    assert rowset.table == "events"
    assert rowset.rows == [
        {
            "event_id": "o-1",
            "type": "feed.polled",
            "source": "pmp-collector",
            "subject": "velib",
            "time": datetime(2026, 1, 24, 16, tzinfo=UTC),
            "data": b'{"outcome": "unchanged"}',
            "message_id": "7",
            "publish_ts": PUBLISHED,
        }
    ]


@pytest.mark.parametrize(
    ("route", "data"),
    [
        ("snapshots", snapshot({})),
        ("station-information", information(STATIONS)),
        ("sensor-events", EVENT),
        ("ops-events", {"id": "o-1", "type": "feed.polled"}),
        ("dead-letters", b""),
    ],
)
def test_rows_fit_their_tables(route, data):
    rowset = message_rows.BY_ROUTE[route](message(data), NOW)
    columns = {column.name for column in table(rowset.table).columns}
    stamp = {"ingest_ts": NOW} if "ingest_ts" in columns else {}
    converter = RowConverter(table(rowset.table))
    assert rowset.rows
    assert all(converter.convert(row | stamp) for row in rowset.rows)
    assert all(row.keys() | stamp.keys() == columns for row in rowset.rows)
