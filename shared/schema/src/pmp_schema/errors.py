"""Two failure families, one decision: redeliver or quarantine.

PipelineError
  + RetryableError   the world was wrong: answer 503, Pub/Sub delivers again with backoff
      - QueueFull        the writer has as much in hand as it may hold
      - SinkUnavailable  BigQuery cannot take rows now
      - PublishFailed    Pub/Sub did not confirm a publish
  + PoisonMessage    the bytes are wrong: dead-letter now, with a reason, and acknowledge
  + MalformedPush    the HTTP body is no Pub/Sub message: answer 400
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a message is a dead letter. Stable: attribute, log field, metric label and table column alike."""

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
    """Base of every failure that the edge decides on."""


class RetryableError(PipelineError):
    """The same message may succeed later."""


class QueueFull(RetryableError):
    """The bounded queue has no room; answered at once."""


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
