"""One message as the four forms of request in which it may arrive: (headers, body)."""

import base64
import json
from collections.abc import Callable
from typing import Any

from pmp_runtime.pubsub.push import MESSAGE_PUBLISHED
from pmp_schema.message import Message
from pmp_schema.timestamps import format_timestamp

Request = tuple[dict[str, str], bytes]

_PROJECT = "p"
_TOPIC = f"//pubsub.googleapis.com/projects/{_PROJECT}/topics/t"


def _document(message: Message) -> dict[str, Any]:
    inner: dict[str, Any] = {"messageId": message.message_id}
    if message.data:
        inner["data"] = base64.b64encode(message.data).decode()
    if message.attributes:
        inner["attributes"] = dict(message.attributes)
    if message.publish_ts is not None:
        inner["publishTime"] = format_timestamp(message.publish_ts)
    document: dict[str, Any] = {"message": inner}
    if message.subscription is not None:
        document["subscription"] = f"projects/{_PROJECT}/subscriptions/{message.subscription}"
    if message.delivery_attempt is not None:
        document["deliveryAttempt"] = message.delivery_attempt
    return document


def wrapped(message: Message) -> Request:
    return {"Content-Type": "application/json"}, json.dumps(_document(message)).encode()


def unwrapped(message: Message) -> Request:
    """Attributes become headers, whose UTF-8 a WSGI server hands on as Latin-1."""
    headers = {name: value.encode().decode("latin-1") for name, value in message.attributes.items()}
    headers |= {
        "Content-Type": "application/octet-stream",
        "User-Agent": "CloudPubSub-Google",
        "X-Goog-Pubsub-Message-Id": message.message_id,
    }
    if message.publish_ts is not None:
        headers["X-Goog-Pubsub-Publish-Time"] = format_timestamp(message.publish_ts)
    if message.subscription is not None:
        headers["X-Goog-Pubsub-Subscription-Name"] = (
            f"projects/{_PROJECT}/subscriptions/{message.subscription}"
        )
    if message.delivery_attempt is not None:
        headers["X-Goog-Pubsub-Delivery-Attempt"] = str(message.delivery_attempt)
    return headers, message.data


def binary_event(message: Message) -> Request:
    headers = {
        "Content-Type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": message.message_id,
        "ce-type": MESSAGE_PUBLISHED,
        "ce-source": _TOPIC,
        "ce-time": "2026-01-24T16:00:00.123Z",
    }
    return headers, wrapped(message)[1]


def structured_event(message: Message) -> Request:
    event = {
        "specversion": "1.0",
        "id": message.message_id,
        "type": MESSAGE_PUBLISHED,
        "source": _TOPIC,
        "datacontenttype": "application/json",
        "data": _document(message),
    }
    return {"Content-Type": "application/cloudevents+json; charset=utf-8"}, json.dumps(event).encode()


FORMS: dict[str, Callable[[Message], Request]] = {
    "wrapped": wrapped,
    "unwrapped": unwrapped,
    "binary": binary_event,
    "structured": structured_event,
}
