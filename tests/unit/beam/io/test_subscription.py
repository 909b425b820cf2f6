"""A pulled message has the form of a pushed one."""

from datetime import UTC, datetime

import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage
from google.pubsub_v1 import PubsubMessage as Wire

from pmp_beam.io import ReadMessages
from pmp_beam.io.subscription import push_message
from pmp_schema.message import Message

AT = datetime(2026, 1, 24, 16, 30, 1, 234567, UTC)


def test_a_message_keeps_all_that_pubsub_says_of_it():
    wire = Wire(data=b"1", attributes={"ce-id": "x"}, message_id="7", publish_time=AT)
    message = push_message(PubsubMessage._from_message(wire), subscription="s")
    assert message == Message(
        data=b"1", message_id="7", attributes={"ce-id": "x"}, publish_ts=AT, subscription="s"
    )
    assert type(message.publish_ts) is datetime


def test_a_message_may_be_empty():
    message = push_message(PubsubMessage(b"", {}, "7"), subscription="s")
    assert message == Message(data=b"", message_id="7", subscription="s")


def test_an_unknown_subscription_is_refused_when_the_pipeline_is_built():
    with pytest.raises(KeyError):
        ReadMessages("no-such-sub", project="p")
