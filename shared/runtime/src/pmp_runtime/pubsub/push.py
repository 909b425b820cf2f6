"""A push request as a message: wrapped, unwrapped with metadata headers, or an Eventarc CloudEvent.

https://cloud.google.com/pubsub/docs/push, https://cloud.google.com/pubsub/docs/payload-unwrapping and
https://googleapis.github.io/google-cloudevents (google.cloud.pubsub.topic.v1.messagePublished).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.json import JSONFormat

from pmp_schema.errors import MalformedPush
from pmp_schema.message import Message
from pmp_schema.timestamps import parse_timestamp

MESSAGE_PUBLISHED: Final = "google.cloud.pubsub.topic.v1.messagePublished"
_PUBSUB_HEADER: Final = "x-goog-pubsub-"
# Headers of HTTP itself, of proxies and of Google's front end: never attributes of an unwrapped message.
_TRANSPORT_HEADERS: Final = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "authorization", "connection", "content-length"),
        *("content-type", "cookie", "date", "expect", "forwarded", "from", "host", "keep-alive", "te"),
        *("traceparent", "tracestate", "transfer-encoding", "upgrade", "user-agent", "via"),
    }
)
# Header names have lost their case; of the attributes with capitals these are the ones that have a meaning.
_CASED: Final = {
    name.lower(): name
    for name in (
        "CloudPubSubDeadLetterSourceSubscription",
        "CloudPubSubDeadLetterSourceSubscriptionProject",
        "CloudPubSubDeadLetterSourceDeliveryCount",
        "CloudPubSubDeadLetterSourceTopicPublishTime",
    )
}
_TRANSPORT_PREFIXES: Final = ("x-goog-", "x-cloud-", "x-forwarded-", "x-real-", "x-serverless-", "sec-")


class _Message(msgspec.Struct, rename="camel"):
    data: bytes = b""  # msgspec decodes base64
    attributes: dict[str, str] | None = None
    message_id: str = ""
    publish_time: str | None = None
    message_id_snake: str = msgspec.field(name="message_id", default="")
    publish_time_snake: str | None = msgspec.field(name="publish_time", default=None)


class _Wrapped(msgspec.Struct, rename="camel"):
    message: _Message
    subscription: str | None = None
    delivery_attempt: int | None = None


_WRAPPED: Final = msgspec.json.Decoder(_Wrapped)


def parse_push(headers: Mapping[str, str], body: bytes) -> Message:
    """The message of a push request, whichever of the accepted forms it has.

    Args:
        headers: HTTP headers; names in any case.
        body: HTTP body.

    Raises:
        MalformedPush: the request is no Pub/Sub message.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    if lowered.get(f"{_PUBSUB_HEADER}message-id"):
        return _unwrapped(lowered, body)
    content_type = lowered.get("content-type", "").lower()
    if "ce-specversion" in lowered or content_type.startswith("application/cloudevents"):
        return _message(_cloudevent_data(lowered, body))
    try:
        return _message(_WRAPPED.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedPush(f"not a push body: {error}") from error


def _message(wrapped: _Wrapped) -> Message:
    message = wrapped.message
    message_id = message.message_id or message.message_id_snake
    if not message_id:
        raise MalformedPush("not a push body: no messageId")
    return Message(
        data=message.data,
        attributes=message.attributes or {},
        message_id=message_id,
        publish_ts=_publish_ts(message.publish_time or message.publish_time_snake),
        subscription=_short(wrapped.subscription),
        delivery_attempt=wrapped.delivery_attempt,
    )


def _cloudevent_data(headers: Mapping[str, str], body: bytes) -> _Wrapped:
    try:
        event = from_http(HTTPMessage(headers=dict(headers), body=body), JSONFormat())
        data: Any = event.get_data()
        if event.get_type() != MESSAGE_PUBLISHED:
            raise MalformedPush(f"not a Pub/Sub CloudEvent: {event.get_type()!r:.100}")
        # Once more as JSON: the package's own decoder lets lone surrogates through, no later encoder does.
        return _WRAPPED.decode(msgspec.json.encode(data))
    except (
        BaseCloudEventException,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise MalformedPush(f"not a CloudEvent: {type(error).__name__}") from error


def _unwrapped(headers: Mapping[str, str], body: bytes) -> Message:
    attempt = headers.get(f"{_PUBSUB_HEADER}delivery-attempt", "")
    return Message(
        data=body,
        attributes={
            _CASED.get(name, name): _utf8(value)
            for name, value in headers.items()
            if name not in _TRANSPORT_HEADERS and not name.startswith(_TRANSPORT_PREFIXES)
        },
        message_id=headers[f"{_PUBSUB_HEADER}message-id"],
        publish_ts=_publish_ts(headers.get(f"{_PUBSUB_HEADER}publish-time")),
        subscription=_short(headers.get(f"{_PUBSUB_HEADER}subscription-name")),
        delivery_attempt=int(attempt) if attempt.isdecimal() and len(attempt) < 10 else None,
    )


def _utf8(header: str) -> str:
    """A header as text: HTTP servers hand on its bytes as Latin-1 (PEP 3333), attributes are UTF-8."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def _publish_ts(value: str | None) -> datetime | None:
    if not value:
        return None
    try:
        return parse_timestamp(value)
    except ValueError as error:
        raise MalformedPush(f"not a push body: publishTime: {error}") from error


def _short(subscription: str | None) -> str | None:
    return subscription.rsplit("/", 1)[-1] if subscription else None
