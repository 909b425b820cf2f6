import gzip
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmp_schema import events
from pmp_schema.errors import PoisonMessage, Reason

EVENT = {
    "event_id": "e-1",
    "station_id": "A_101",
    "ts_iso": "2026-01-24T16:00:00Z",
    "kind": "pickup",
    "delta": 1,
}
AT = datetime(2026, 1, 24, 17, 0, 0, tzinfo=timezone(timedelta(hours=1)))


def sensor(**changes):
    return json.dumps(EVENT | changes).encode()


def snapshot(payload=b"{}", event_type=events.STATION_STATUS):
    return b'{"source":"velib","event_type":"%s","payload":%s}' % (event_type.encode(), payload)


def reason_of(decode, data):
    with pytest.raises(PoisonMessage) as poison:
        decode(data)
    return poison.value.reason


def test_a_sensor_event_needs_five_fields_only():
    event = events.decode_sensor_event(sensor(delta=2**63 - 1))
    assert event == events.SensorEvent(**EVENT | {"delta": 2**63 - 1})
    assert (event.city_id, event.source, event.extra) == (None, None, None)


def test_unknown_fields_are_kept_as_json():
    event = events.decode_sensor_event(sensor(battery=0.5, extra={"a": [None]}, big=2**70))
    assert json.loads(event.extra) == {"battery": 0.5, "extra": {"a": [None]}, "big": 2**70}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b" \n", Reason.EMPTY),
        (b"\xff{}", Reason.NOT_UTF8),
        (sensor(a="?").replace(b"?", b"\xff"), Reason.NOT_UTF8),
        (b"event", Reason.NOT_JSON),
        (sensor()[:-1], Reason.NOT_JSON),
        (sensor() + b"x", Reason.NOT_JSON),
        (sensor(a=float("nan")), Reason.NOT_JSON),
        (sensor(a=float("-inf")), Reason.NOT_JSON),
        (sensor(a="?").replace(b"?", b"\\ud800"), Reason.NOT_JSON),
        (sensor(a=1).replace(b'"a": 1', b'"a": 1e400'), Reason.NOT_JSON),
        (b"[" * 10_000 + b"]" * 10_000, Reason.TOO_DEEP),
        (sensor(a=0).replace(b": 0", b": " + b"[" * 600 + b"]" * 600), Reason.TOO_DEEP),
        (b"[]", Reason.SCHEMA),
        (sensor(delta=0), Reason.SCHEMA),
        (sensor(delta="1"), Reason.SCHEMA),
        (sensor(delta=2**63), Reason.SCHEMA),
        (sensor(ts_iso=0), Reason.SCHEMA),
        (sensor(station_id=""), Reason.SCHEMA),
        (sensor(station_id="x" * 1025), Reason.SCHEMA),
        (sensor(station_id=101), Reason.SCHEMA),
        (sensor(kind="teleport"), Reason.UNKNOWN_KIND),
        (sensor(kind="Pickup"), Reason.UNKNOWN_KIND),
    ],
)
def test_a_sensor_event_that_cannot_be_used_has_its_reason(data, reason):
    assert reason_of(events.decode_sensor_event, data) is reason


def test_of_a_repeated_key_the_last_value_counts():
    data = sensor().replace(b"{", b'{"delta": 7, "kind": "teleport", ', 1)
    assert events.decode_sensor_event(data) == events.SensorEvent(**EVENT)


@given(st.dictionaries(st.text(max_size=10), st.integers() | st.text(max_size=10), max_size=5))
def test_a_payload_keeps_its_bytes(payload):
    body = json.dumps(payload, indent=1).encode()
    data = events.encode_snapshot(
        source="velib", event_type=events.STATION_STATUS, payload=body, event_ts=AT, ingest_ts=AT
    )
    assert bytes(events.decode_snapshot(data).payload) == body


def test_an_encoded_snapshot_has_the_fields_of_the_contract():
    data = events.encode_snapshot(
        source="velib", event_type=events.STATION_STATUS, payload=b'{"ttl":60}', event_ts=AT, ingest_ts=AT
    )
    assert json.loads(data) == {
        "ingest_ts": "2026-01-24T16:00:00Z",
        "event_ts": "2026-01-24T16:00:00Z",
        "source": "velib",
        "event_type": "station_status_snapshot",
        "key": "velib:station_status_snapshot",
        "payload": {"ttl": 60},
    }


def test_an_ops_event_needs_id_and_type_only():
    event = events.decode_ops_event(b'{"id":"1","type":"feed.polled","x":1}')
    assert (event.id, event.type, event.source, bytes(event.data)) == ("1", "feed.polled", "unknown", b"null")


def test_the_same_snapshot_always_has_the_same_id():
    def id_of(**changes):
        same = {"source": "velib", "event_type": "t", "event_ts": AT, "payload": b"{}"}
        return events.snapshot_event_id(**same | changes)

    assert id_of() == "velib:t:20260124T160000.000000Z:44136fa355b3678a"
    assert id_of(event_ts=AT.astimezone(UTC)) == id_of()
    others = [
        {"source": "x"},
        {"event_type": "x"},
        {"payload": b"{ }"},
        {"event_ts": None},
        {"event_ts": AT + timedelta(microseconds=1)},
    ]
    assert len({id_of(), *(id_of(**other) for other in others)}) == 6


def test_the_attributes_of_a_cloud_event_are_prefixed():
    assert events.cloudevent_attributes(event_id="1", event_type="t", source="s", time=AT) == {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-type": "t",
        "ce-source": "s",
        "ce-time": "2026-01-24T16:00:00Z",
    }


@given(st.binary(max_size=1000))
def test_gunzip_is_the_inverse_of_gzip(data):
    assert events.gunzip(gzip.compress(data), limit_bytes=1000) == data


@pytest.mark.parametrize(
    ("decode", "data", "reason"),
    [
        (events.decode_snapshot, b"", Reason.EMPTY),
        (events.decode_snapshot, b"[]", Reason.SCHEMA),
        (events.decode_snapshot, b"{}", Reason.SCHEMA),
        (events.decode_snapshot, snapshot(b"[]"), Reason.SCHEMA),
        (events.decode_snapshot, snapshot(b'"{}"'), Reason.SCHEMA),
        (events.decode_snapshot, snapshot(b"null"), Reason.SCHEMA),
        (events.decode_snapshot, snapshot(b'{"a":NaN}'), Reason.NOT_JSON),
        (events.decode_snapshot, snapshot(b'{"a":"\xff"}'), Reason.NOT_UTF8),
        (events.decode_snapshot, snapshot(b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"), Reason.TOO_DEEP),
        (events.decode_snapshot, snapshot(event_type="weather_snapshot"), Reason.UNKNOWN_EVENT_TYPE),
        (events.decode_ops_event, b'{"id":"1"}', Reason.SCHEMA),
        (events.decode_ops_event, b'{"id":"","type":"t"}', Reason.SCHEMA),
        (events.decode_ops_event, b'{"id":"1","type":"t","data":1e400}', Reason.NOT_JSON),
        (
            events.decode_ops_event,
            b'{"id":"1","type":"t","data":' + b"[" * 600 + b"]" * 600 + b"}",
            Reason.TOO_DEEP,
        ),
        *(
            (events.gunzip, gzip.compress(b"some text")[:end], Reason.BAD_GZIP)
            for end in (0, 1, 9, 10, 15, -1, -8)
        ),
        (events.gunzip, gzip.compress(b"x") + b"y", Reason.BAD_GZIP),
        (events.gunzip, gzip.compress(bytes(50_000_000)), Reason.TOO_LARGE),  # a bomb of less than 50 kB
    ],
)
def test_data_that_cannot_be_used_has_its_reason(decode, data, reason):
    assert reason_of(decode, data) is reason
