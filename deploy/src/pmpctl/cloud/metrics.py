"""Cloud Monitoring: backlogs, and the usage of Cloud Run and BigQuery."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from pmpctl.cloud.clients import Google

_UNDELIVERED: Final = "pubsub.googleapis.com/subscription/num_undelivered_messages"
_OLDEST: Final = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"
_REQUESTS: Final = "run.googleapis.com/request_count"
_INSTANCE_TIME: Final = "run.googleapis.com/container/billable_instance_time"
_SCANNED: Final = "bigquery.googleapis.com/query/scanned_bytes_billed"
# Values are visible up to four minutes after they were sampled, once a minute.
_RECENT: Final = timedelta(minutes=10)


def read_backlogs(google: Google, now: datetime) -> dict[str, tuple[int, int]]:
    """Undelivered messages and the age of the oldest one in seconds, by subscription id."""
    undelivered = _newest(google, _UNDELIVERED, now)
    oldest = _newest(google, _OLDEST, now)
    return {name: (count, oldest.get(name, 0)) for name, count in sorted(undelivered.items())}


def read_requests(google: Google, since: datetime, now: datetime) -> dict[str, float]:
    """Requests by Cloud Run service."""
    return _sums(google, _REQUESTS, since, now, lambda series: series.resource.labels["service_name"])


def read_instance_seconds(google: Google, since: datetime, now: datetime) -> dict[str, float]:
    """Billed instance seconds by Cloud Run service."""
    return _sums(google, _INSTANCE_TIME, since, now, lambda series: series.resource.labels["service_name"])


def read_scanned_bytes(google: Google, since: datetime, now: datetime) -> float:
    """Bytes billed for BigQuery queries of the project."""
    return sum(_sums(google, _SCANNED, since, now, lambda _: "").values())


def _newest(google: Google, metric: str, now: datetime) -> dict[str, int]:
    found = _series(google, metric, now - _RECENT, now)
    # Points come newest first.
    return {s.resource.labels["subscription_id"]: s.points[0].value.int64_value for s in found if s.points}


def _sums(
    google: Google, metric: str, since: datetime, now: datetime, key: Callable[[Any], str]
) -> dict[str, float]:
    aggregation = {
        "alignment_period": timedelta(seconds=int((now - since).total_seconds())),
        "per_series_aligner": "ALIGN_DELTA",
    }
    sums: dict[str, float] = {}
    for series in _series(google, metric, since, now, aggregation=aggregation):
        total = sum(point.value.double_value + point.value.int64_value for point in series.points)
        sums[key(series)] = sums.get(key(series), 0.0) + total
    return sums


def _series(google: Google, metric: str, since: datetime, now: datetime, **more: Any) -> list[Any]:
    request = {
        "name": f"projects/{google.project}",
        "filter": f'metric.type = "{metric}"',
        "interval": {"start_time": since, "end_time": now},
        **more,
    }
    return google.read_all("monitoring", "list_time_series", request)
