"""The messages of the topics: snapshot envelope, sensor event, ops event.

Decoding is strict (msgspec, without coercion). Every failure is a PoisonMessage with its reason. Where a JSON object
repeats a key, the last value counts, as in nearly every JSON parser.
"""

import hashlib
import zlib
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec

from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.gbfs import decode_json
from pmp_schema.timestamps import format_timestamp

STATION_STATUS: Final = "station_status_snapshot"
STATION_INFORMATION: Final = "station_information_snapshot"
EVENT_TYPES: Final = frozenset({STATION_STATUS, STATION_INFORMATION})
KINDS: Final = frozenset({"pickup", "dropoff"})

MAX_MESSAGE_BYTES: Final = 9_000_000  # one row must fit an AppendRows request with room for its other columns
GZIP_ABOVE_BYTES: Final = 16_000  # Pub/Sub bills bytes; a Vélib snapshot shrinks thirteenfold

T = TypeVar("T")
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class SensorEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A pickup or dropoff.

    Attributes:
        ts_iso: RFC 3339, or the same with a space; without an offset it is UTC.
        delta: bikes, positive.
        extra: JSON object of the fields that the schema does not know, or None.
    """

    event_id: Text
    station_id: Text
    ts_iso: Text
    kind: Text
    delta: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    city_id: str | None = None
    source: str | None = None
    extra: bytes | None = None


class SnapshotEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """A feed body as it was fetched.

    Attributes:
        ingest_ts: when the collector fetched it, RFC 3339.
        event_ts: the feed's own time, RFC 3339.
        source: system id.
        payload: the bytes of the body, unchanged.
    """

    source: Text
    event_type: Text
    payload: msgspec.Raw
    ingest_ts: str | None = None
    event_ts: str | None = None
    key: str | None = None


class OpsEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent in its JSON format; `data` is any JSON value."""

    id: Text
    type: Text
    source: str = "unknown"
    specversion: str = "1.0"
    subject: str | None = None
    time: str | None = None
    datacontenttype: str = "application/json"
    data: msgspec.Raw = msgspec.Raw(b"null")


_SNAPSHOT: Final = msgspec.json.Decoder(SnapshotEnvelope)
_OPS: Final = msgspec.json.Decoder(OpsEvent)
_SENSOR_FIELDS: Final = frozenset(SensorEvent.__struct_fields__) - {"extra"}


def decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decodes JSON bytes.

    Raises:
        PoisonMessage: empty, not_utf8, too_deep, schema or not_json.
    """
    if not data:
        raise PoisonMessage(Reason.EMPTY)
    try:
        data.decode("utf-8")  # the decoder does not check raw parts
        return decoder.decode(data)
    except UnicodeDecodeError as error:
        raise PoisonMessage(Reason.NOT_UTF8, f"byte {error.start}") from error
    except RecursionError as error:
        raise PoisonMessage(Reason.TOO_DEEP) from error
    except msgspec.ValidationError as error:
        raise PoisonMessage(Reason.SCHEMA, str(error)) from error
    except msgspec.DecodeError as error:
        raise PoisonMessage(Reason.NOT_JSON, str(error)) from error


def decode_sensor_event(data: bytes) -> SensorEvent:
    """A sensor event; unknown fields are kept in `extra`.

    Raises:
        PoisonMessage: see `decode`; unknown_kind.
    """
    value = decode_json(data)
    try:
        fields = msgspec.convert(value, dict[str, Any])
        unknown = {name: value for name, value in fields.items() if name not in _SENSOR_FIELDS}
        event = msgspec.convert({name: fields[name] for name in fields.keys() - unknown}, SensorEvent)
    except msgspec.ValidationError as error:
        raise PoisonMessage(Reason.SCHEMA, str(error)) from error
    if event.kind not in KINDS:
        raise PoisonMessage(Reason.UNKNOWN_KIND, event.kind[:100])
    return msgspec.structs.replace(event, extra=msgspec.json.encode(unknown) if unknown else None)


def decode_snapshot(data: bytes) -> SnapshotEnvelope:
    """A snapshot envelope whose payload is a JSON object.

    Raises:
        PoisonMessage: see `decode`; unknown_event_type.
    """
    envelope = decode(_SNAPSHOT, data)
    if envelope.event_type not in EVENT_TYPES:
        raise PoisonMessage(Reason.UNKNOWN_EVENT_TYPE, envelope.event_type[:100])
    if not bytes(envelope.payload).startswith(b"{"):
        raise PoisonMessage(Reason.SCHEMA, "Expected `object` - at `$.payload`")
    return envelope


def decode_ops_event(data: bytes) -> OpsEvent:
    """An ops event.

    Raises:
        PoisonMessage: see `decode`.
    """
    event = decode(_OPS, data)
    decode_json(bytes(event.data))  # raw so far: checked here, before BigQuery would refuse it
    return event


def encode_snapshot(
    *, source: str, event_type: str, payload: bytes, event_ts: datetime, ingest_ts: datetime
) -> bytes:
    """The message data of a snapshot; `payload` must be JSON without surrounding white space."""
    return msgspec.json.encode(
        {
            "ingest_ts": format_timestamp(ingest_ts),
            "event_ts": format_timestamp(event_ts),
            "source": source,
            "event_type": event_type,
            "key": f"{source}:{event_type}",
            "payload": msgspec.Raw(payload),
        }
    )


def snapshot_event_id(*, source: str, event_type: str, event_ts: datetime | None, payload: bytes) -> str:
    """The id of a snapshot: the same body of the same system, feed and feed time has the same id."""
    at = event_ts.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ") if event_ts else "unknown"
    return f"{source}:{event_type}:{at}:{hashlib.sha256(payload).hexdigest()[:16]}"


def cloudevent_attributes(*, event_id: str, event_type: str, source: str, time: datetime) -> dict[str, str]:
    """The CloudEvents attributes of a Pub/Sub message (binary mode, `ce-` prefix)."""
    return {
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-type": event_type,
        "ce-source": source,
        "ce-time": format_timestamp(time),
    }


def gunzip(data: bytes, limit_bytes: int = MAX_MESSAGE_BYTES) -> bytes:
    """Inflates gzip data; a bomb is not inflated beyond the limit.

    Raises:
        PoisonMessage: bad_gzip, too_large.
    """
    inflater = zlib.decompressobj(wbits=31)
    try:
        body = inflater.decompress(data, limit_bytes + 1)
    except zlib.error as error:
        raise PoisonMessage(Reason.BAD_GZIP, str(error)) from error
    if len(body) > limit_bytes:
        raise PoisonMessage(Reason.TOO_LARGE, f"more than {limit_bytes} bytes after gunzip")
    if not inflater.eof or inflater.unused_data:
        raise PoisonMessage(Reason.BAD_GZIP, "truncated, or bytes after the end")
    return body
