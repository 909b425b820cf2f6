import json
from datetime import UTC, datetime, timedelta

import pytest

from pmp_schema.features import catalogue

pytestmark = pytest.mark.integration

AT = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def row(station, feature, window, value, as_of=AT):
    return {
        "city_id": "c",
        "station_id": station,
        "feature_name": feature,
        "window_len": window,
        "value": value,
        "as_of": as_of,
        "event_date": as_of.date(),
    }


ROWS = [
    row("A_101", "pickup_count", "2h", 8.0),
    row("A_101", "pickup_count", "24h", 9.0),
    row("A_101", "pickup_count", "2h", 7.0, AT - 30 * MINUTE),
    row("A_101", "avg_delta_pickup", "24h", 3.2, AT - 30 * MINUTE),
    row("A_205", "pickup_count", "2h", 1.0, AT - 60 * MINUTE),
]


def test_the_latest_row_of_every_station_feature_and_window(warehouse):
    warehouse.insert("station_features", ROWS)
    latest = sorted(tuple(found.values()) for found in warehouse.view("station_features_latest"))
    assert latest == sorted(tuple(ROWS[n].values()) for n in (0, 1, 3, 4))


def test_the_wide_view_has_a_row_per_station_and_as_of_and_a_column_per_feature(warehouse):
    warehouse.insert("station_features", ROWS)
    found = {(one["station_id"], one["as_of"]): one for one in warehouse.view("station_features_wide")}
    columns = [feature.column for feature in catalogue()]
    wide = {key: {c: one[c] for c in columns if one[c] is not None} for key, one in found.items()}
    assert wide == {
        ("A_101", AT): {"pickup_count_2h": 8.0, "pickup_count_24h": 9.0},
        ("A_101", AT - 30 * MINUTE): {"pickup_count_2h": 7.0, "avg_delta_pickup_24h": 3.2},
        ("A_205", AT - 60 * MINUTE): {"pickup_count_2h": 1.0},
    }
    assert set(next(iter(found.values()))) == {"event_date", "as_of", "city_id", "station_id", *columns}


def told(run, status, minutes, **data):
    request = {"as_of": "2025-11-16T02:15:00Z", "known_at": "2025-11-16T02:14:00Z"}
    return {
        "event_id": f"{run}-{status}-{minutes}",
        "type": f"feature_run.{status}",
        "subject": run,
        "time": AT + minutes * MINUTE,
        "data": json.dumps({**request, "engine": "sql", "executor": "local", **data}),
        "publish_ts": AT + minutes * MINUTE,
    }


def runs(warehouse, *events):
    warehouse.insert("events", list(events))
    return {found["run_id"]: found for found in warehouse.view("feature_runs")}


def test_a_run_is_one_row_with_its_times_and_result(warehouse):
    events = [told("r", "requested", 0), told("r", "started", 1), told("r", "succeeded", 2, rows=12)]
    other = {"event_id": "x", "type": "feed.polled", "time": AT, "subject": "r", "data": "{}"}
    assert runs(warehouse, *events, events[-1], other) == {
        "r": {
            "run_id": "r",
            "as_of": AT,
            "known_at": AT - MINUTE,
            "engine": "sql",
            "executor": "local",
            "status": "succeeded",
            "requested_ts": AT,
            "started_ts": AT + MINUTE,
            "finished_ts": AT + 2 * MINUTE,
            "rows_": 12,
            "error": None,
        }
    }


@pytest.mark.parametrize(
    ("story", "status", "started", "finished", "error"),
    [
        ([("requested", 0)], "requested", None, None, None),
        ([("requested", 0), ("started", 1)], "started", 1, None, None),
        ([("requested", 0), ("started", 1), ("failed", 2)], "failed", 1, 2, "killed"),
        ([("requested", 0), ("started", 1), ("failed", 2), ("started", 3)], "started", 3, None, None),
        ([("started", 1), ("failed", 2), ("started", 3), ("succeeded", 4)], "succeeded", 3, 4, None),
        ([("started", 1), ("succeeded", 2), ("failed", 3)], "succeeded", 1, 2, None),
        ([("requested", 0), ("started", 0), ("failed", 0)], "failed", 0, 0, "killed"),
    ],
)
def test_the_last_word_is_the_status_and_a_success_is_final(
    warehouse, story, status, started, finished, error
):
    events = [told("r", kind, at, **({"error": "killed"} if kind == "failed" else {})) for kind, at in story]
    run = runs(warehouse, *events)["r"]
    minutes = {None: None} | {n: AT + n * MINUTE for n in range(5)}
    assert (run["status"], run["started_ts"], run["finished_ts"], run["error"]) == (
        status,
        minutes[started],
        minutes[finished],
        error,
    )
