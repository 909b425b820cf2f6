"""Two failure families, one decision: redeliver or quarantine.

PipelineError
  + RetryableError   a dependency failed: answer 503, Pub/Sub redelivers with backoff
      - QueueFull        the writer holds as many rows as it may
      - SinkUnavailable  BigQuery cannot take rows now
      - PublishFailed    Pub/Sub did not confirm a publish
  + PoisonMessage    the message is unusable: dead-letter it now, with a reason, and acknowledge
  + MalformedPush    the HTTP body is not a Pub/Sub message: answer 400
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a message is a dead letter. Stable: the attribute, log field, metric label and table column are the same."""

    EMPTY = "empty"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    BAD_GZIP = "bad_gzip"
    SCHEMA = "schema"
    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    TIMESTAMP_INVALID = "timestamp_invalid"
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    STATION_INVALID = "station_invalid"
    NO_STATIONS = "no_stations"
    ROW_REJECTED = "row_rejected"
    SCHEMA_DRIFT = "schema_drift"
    DELIVERY_ATTEMPTS = "delivery_attempts"
    UNKNOWN = "unknown"


class PipelineError(Exception):
    """Base of all failures that the edge of a service handles."""


class RetryableError(PipelineError):
    """The same message may succeed later."""


class QueueFull(RetryableError):
    """The bounded queue is full; the request is answered at once."""


class SinkUnavailable(RetryableError):
    """BigQuery did not take the rows: outage, quota, missing table or permission."""


class PublishFailed(RetryableError):
    """Pub/Sub did not confirm the publish within its time-out."""


class MalformedPush(PipelineError):
    """The request body is not a Pub/Sub message in any accepted form."""


class PoisonMessage(PipelineError):
    """The message can never succeed as it is.

    Attributes:
        reason: stable slug.
        detail: one line for a person; never the payload.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
