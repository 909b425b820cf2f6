import base64
import gzip
import json
import string
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pmp_runtime.pubsub.push import MESSAGE_PUBLISHED, parse_push
from pmp_schema import message_rows
from pmp_schema.dead_letter_row import dead_letter_row
from pmp_schema.errors import MalformedPush, PoisonMessage, Reason
from pmp_schema.message import Message
from tests.fakes.push_requests import FORMS, binary_event, structured_event, unwrapped, wrapped

NOW = datetime(2026, 1, 24, 16, 30, tzinfo=UTC)
EVENT = b'{"event_id":"e-1","station_id":"A_101","ts_iso":"2026-01-24T16:00:00Z","kind":"pickup","delta":1}'
MESSAGE = Message(
    data=EVENT,
    message_id="7",
    attributes={"ce-type": "sensor_event", "origin": "Vélib ☂"},
    publish_ts=datetime(2026, 1, 24, 16, 0, 1, 5000, tzinfo=UTC),
    subscription="pmp-sensor-events-to-bq-sub",
    delivery_attempt=3,
)
ALL_FORMS = pytest.mark.parametrize("form", FORMS)

# What is left of an attribute's name when it has been a header: lower case, none of HTTP's own names.
names = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=20).map("a-{}".format)
values = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=50)
messages = st.builds(
    Message,
    data=st.binary(max_size=200),
    message_id=st.text(string.digits, min_size=1, max_size=20),
    attributes=st.dictionaries(names, values, max_size=5),
    publish_ts=st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    subscription=st.none() | st.just("pmp-events-to-bq-sub"),
    delivery_attempt=st.none() | st.integers(1, 1000),
)


@given(message=messages)
def test_every_form_carries_the_same_message(message):
    for request in FORMS.values():
        assert parse_push(*request(message)) == message


@ALL_FORMS
def test_every_form_becomes_the_same_row(form):
    rowset = message_rows.sensor_event_rows(parse_push(*FORMS[form](MESSAGE)), NOW)
    assert rowset.rows == message_rows.sensor_event_rows(MESSAGE, NOW).rows


KEYS = (
    *("message", "data", "attributes", "messageId", "message_id", "publishTime", "subscription"),
    *("deliveryAttempt", "specversion", "id", "type", "source", "time", "data_base64", "datacontenttype"),
)
HEADERS = (
    *("content-type", "Content-Encoding", "ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time"),
    *("X-Goog-Pubsub-Message-Id", "X-Goog-Pubsub-Publish-Time", "x-goog-pubsub-delivery-attempt"),
    "x-goog-pubsub-subscription-name",
)
HEADER_VALUES = (
    *("application/json", "application/cloudevents+json", "application/cloudevents-batch+json"),
    *(MESSAGE_PUBLISHED, "1.0", "", "9" * 5000, "99999999999999999999", "2026-01-24T16:00:00Z", "gzip"),
)
texts = st.text() | st.just(base64.b64encode(EVENT).decode())
headers = st.dictionaries(
    st.sampled_from(HEADERS), st.sampled_from(HEADER_VALUES) | st.text(st.characters(max_codepoint=255))
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
bodies = st.binary(max_size=300) | st.dictionaries(st.sampled_from(KEYS), json_values, max_size=6).map(
    lambda value: json.dumps(value).encode()
)
# Near to a push, so that what is inside of the message is reached too.
bodies |= st.builds(
    lambda message, rest: json.dumps({"message": message} | rest).encode(),
    st.fixed_dictionaries(
        {"messageId": texts},
        optional={"data": texts, "attributes": st.dictionaries(texts, texts), "publishTime": texts},
    ),
    st.fixed_dictionaries({}, optional={"subscription": texts, "deliveryAttempt": st.integers()}),
)


@given(headers=headers, body=bodies)
def test_any_request_is_a_message_or_malformed(headers, body):
    try:
        message = parse_push(headers, body)
    except MalformedPush:
        return
    assert message.message_id
    assert isinstance(message.data, bytes)
    json.dumps([message.message_id, dict(message.attributes), message.subscription]).encode()
    for build in message_rows.BY_ROUTE.values():
        with suppress(PoisonMessage):
            build(message, NOW)


@given(data=st.binary(max_size=300))
def test_any_message_becomes_a_dead_letter_row(data):
    row = dead_letter_row(Message(data=data, message_id="1"), NOW)
    assert (row["data"], row["reason"]) == (data, "unknown")


@given(data=st.binary(min_size=1, max_size=300))
def test_a_message_without_attributes_is_accepted(data):
    body = json.dumps({"message": {"data": base64.b64encode(data).decode(), "messageId": "1"}}).encode()
    assert parse_push({}, body) == Message(data=data, message_id="1")


def test_snake_case_names_of_the_emulator_are_read():
    body = b'{"message":{"data":"aGk=","message_id":"1","publish_time":"2026-01-24T16:00:00Z"}}'
    message = parse_push({}, body)
    assert (message.message_id, message.publish_ts) == ("1", datetime(2026, 1, 24, 16, tzinfo=UTC))


def test_of_a_repeated_key_the_last_value_counts():
    body = b'{"message":{"messageId":"1","messageId":"2","data":"aGk=","data":"aG8="}}'
    assert parse_push({}, body) == Message(data=b"ho", message_id="2")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"message":{}}',
        b'{"message":null}',
        b'{"message":{"messageId":""}}',
        b'{"message":{"messageId":1}}',
        b'{"message":{"messageId":"\\ud800"}}',
        b'{"message":{"messageId":"1","data":"not base64!"}}',
        b'{"message":{"messageId":"1","data":"aGk"}}',
        b'{"message":{"messageId":"1","data":null}}',
        b'{"message":{"messageId":"1","attributes":{"a":1}}}',
        b'{"message":{"messageId":"1","publishTime":"yesterday"}}',
        b'{"message":{"messageId":"1"},"deliveryAttempt":"2"}',
        b'{"message":{"messageId":"1"},"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        gzip.compress(wrapped(MESSAGE)[1], mtime=0),
    ],
)
def test_a_body_that_is_no_push_is_malformed(body):
    with pytest.raises(MalformedPush):
        parse_push({"Content-Type": "application/json"}, body)


@pytest.mark.parametrize(
    ("form", "changes"),
    [
        (binary_event, {"ce-type": "google.cloud.storage.object.v1.finalized"}),
        (binary_event, {"ce-specversion": "9.9"}),
        (binary_event, {"ce-time": "99999999999999999999"}),
        (binary_event, {"Content-Type": "application/protobuf"}),
        (unwrapped, {"X-Goog-Pubsub-Message-Id": ""}),
    ],
)
def test_another_event_or_one_without_an_id_is_malformed(form, changes):
    headers, body = form(MESSAGE)
    with pytest.raises(MalformedPush):
        parse_push(headers | changes, body)


def test_a_lone_surrogate_in_a_structured_event_is_malformed():
    headers, body = structured_event(MESSAGE)
    with pytest.raises(MalformedPush):
        parse_push(headers, body.replace(b"V\\u00e9lib", b"\\ud800"))


def test_headers_of_http_and_of_proxies_are_no_attributes():
    headers, body = unwrapped(MESSAGE)
    noise = {
        "Host": "x",
        "Via": "1.1 google",
        "X-Forwarded-For": "::1",
        "X-Cloud-Trace-Context": "a/1",
        "Te": "x",
    }
    assert parse_push(headers | noise, body) == MESSAGE


def test_attributes_of_forwarded_messages_regain_their_case():
    headers, body = unwrapped(MESSAGE)
    message = parse_push(headers | {"cloudpubsubdeadlettersourcesubscription": "s"}, body)
    assert message.attributes["CloudPubSubDeadLetterSourceSubscription"] == "s"


@given(data=st.binary(max_size=300))
def test_gzip_data_is_inflated_by_its_attribute_only(data):
    zipped = gzip.compress(data)
    attributes = {"content-encoding": "GZIP"}
    assert Message(data=zipped, message_id="1", attributes=attributes).body() == data
    assert Message(data=zipped, message_id="1").body() == zipped


@given(data=st.binary(max_size=300))
def test_data_that_is_no_gzip_is_poison(data):
    assume(data[:2] != b"\x1f\x8b")
    with pytest.raises(PoisonMessage) as poison:
        Message(data=data, message_id="1", attributes={"content-encoding": "gzip"}).body()
    assert poison.value.reason is Reason.BAD_GZIP
