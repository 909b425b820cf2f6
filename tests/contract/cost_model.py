"""What the guides to cost and scale compute: from the prices, the topology, the sizes of services and the schemas."""

import re
import tomllib
from pathlib import Path

from pmp_schema.features import catalogue, look_back
from pmp_schema.tables import table
from pmp_schema.topology import TOPOLOGY

ROOT = Path(__file__).parents[2]
[PRICES_FILE] = ROOT.glob("deploy/src/**/prices.toml")
PRICES = tomllib.loads(PRICES_FILE.read_text("utf-8"))
ASSUMED = PRICES["assumptions"]
GIB, TIB = 1024**3, 1024**4

# What the guides assume of a system, and what docs/12 lists as measured.
STATIONS, SNAPSHOT_BYTES, EVENT_BYTES = 1500, 700_000, 1000
DERIVED_SHARE, STATUS_SHARE = 0.026, 0.040
MINUTES = ASSUMED["hours_a_month"] * 60
SECONDS = MINUTES * 60
DERIVED = STATIONS * DERIVED_SHARE * MINUTES  # of a month
OPS = 3 * MINUTES  # the poll, the collector's count and the curation's
RUNS = 2 * ASSUMED["hours_a_month"]
STORED_DAYS = 30

# BigQuery's logical sizes; texts as long as those of a system like Vélib.
BYTES = {"TIMESTAMP": 8, "DATE": 8, "INTEGER": 8, "FLOAT": 8, "BOOLEAN": 1}
TEXTS = {
    "event_id": 40, "city_id": 5, "system_id": 5, "station_id": 9, "kind": 6.5, "source": 7, "message_id": 17,
    "feature_name": 14, "window_len": 3, "change": 6, "extra": -2, "quality": -2, "type": 15, "subject": 15,
    "data": 150,
}  # fmt: skip


def usd(name, amount, *, billed=False):
    price = PRICES["prices"][name]
    return max(0, amount - billed * price["free"]) / price["per"] * price["usd"]


def width(name, *columns):
    """Bytes of a row, or of some of its columns."""
    chosen = [c for c in table(name).columns if not columns or c.name in columns]
    return sum(BYTES[c.type] if c.type in BYTES else 2 + TEXTS[c.name] for c in chosen)


def memory_gib(service):
    [(number, unit)] = re.findall(
        rf'(?m)^ +{service} += .*memory = "(\d+)(Gi|Mi)"',
        (ROOT / "deploy/terraform/services.tf").read_text("utf-8"),
    )
    return int(number) / (1 if unit == "Gi" else 1024)


def times(topic):
    """How often Pub/Sub bills a message: once published, once for each subscription that is there by default."""
    return 1 + sum(s.topic == TOPOLOGY.topics[topic] and s.mode == "always" for s in TOPOLOGY.subscriptions)


def pubsub_bytes(systems=1):
    feed = MINUTES * SNAPSHOT_BYTES * times("snapshots")
    small = DERIVED * times("sensor-events") + OPS * times("ops-events")
    return systems * (feed + small * EVENT_BYTES)


def written_bytes(systems=1):
    status = STATIONS * STATUS_SHARE * MINUTES * width("station_status")
    return systems * (MINUTES * SNAPSHOT_BYTES + (DERIVED + OPS) * EVENT_BYTES + status)


def feature_bytes():
    """All of station_features after a month: by each run, each feature of each station."""
    return RUNS * STATIONS * len(catalogue()) * width("station_features")


def stored_bytes():
    """After a month."""
    return written_bytes() - DERIVED * (EVENT_BYTES - width("raw_events")) + feature_bytes()


def requests_usd(amount, gib, *, seconds=ASSUMED["request_seconds"], billed=False):
    """Cloud Run, one instance of a processor per request for so long."""
    cpu, memory = (amount * seconds, amount * seconds * gib)
    return sum(
        usd(name, used, billed=billed)
        for name, used in {"run_request": amount, "run_cpu": cpu, "run_memory": memory}.items()
    )


def run_month(*, billed=False):
    pushes = DERIVED + MINUTES + OPS
    seconds = ASSUMED["request_seconds"]
    gib_s = seconds * (pushes * memory_gib("writer") + MINUTES * memory_gib("collector"))
    used = {"run_request": pushes + MINUTES, "run_cpu": (pushes + MINUTES) * seconds, "run_memory": gib_s}
    return used, sum(usd(name, amount, billed=billed) for name, amount in used.items())


def worker_usd(hours, cpus=ASSUMED["dataflow_worker_cpus"], gib=ASSUMED["dataflow_worker_gib"]):
    used = {
        "dataflow_cpu": cpus,
        "dataflow_memory": gib,
        "dataflow_disk": ASSUMED["dataflow_worker_disk_gib"],
    }
    return hours * sum(usd(name, amount) for name, amount in used.items())


def engine_usd(bytes_read):
    return usd("dataflow_data", bytes_read * ASSUMED["streaming_engine_share"])


def run_bytes(rows_a_day, stations=STATIONS, days=STORED_DAYS):
    """What one SQL feature run reads with so many days in the tables; at least 10 MB a table and statement.

    The windows begin with the first hour of a day: on average half a day more.
    """
    window = min(days, look_back(catalogue()).total_seconds() / 86400 + 0.5)
    events = width(
        "raw_events", "event_id", "city_id", "station_id", "kind", "delta", "event_date", "ingest_ts", "ts_iso",
        "message_id",
    )  # fmt: skip
    rows = stations * len(catalogue())
    statements = (
        window * rows_a_day * events,  # feature_rows.sql
        days * stations * 2 * (width("station_daily_counts") - 8),
        (days - window) * rows_a_day * width("raw_events", "event_date", "ingest_ts"),  # open_dates.sql
        days * stations * 2 * 8,  # closed_through.sql, twice
        days * stations * 2 * 8,
        # merge_station_features.sql: of the table only the day of as_of, in the middle of it; and what is staged.
        24 * rows * width("station_features"),
        rows * width("station_features"),
        24 * rows * width("station_features", "event_date", "as_of"),  # count_station_features.sql
    )
    return sum(max(10e6, amount) for amount in statements)


def history_bytes(days=STORED_DAYS):
    """What a month of reconciliations reads, of all days that are kept, and of looks for unfinished runs, of eight."""
    events = 24 * 60 * 3  # a day
    looked = min(days, 8.5) * events * width("events", "type", "subject", "time")
    counted = days * events * width("events", "event_id", "type", "subject", "data")
    arrived = width("raw_events", "event_id", "event_date", "station_id", "message_id", "publish_ts")
    arrivals = days * 24 * 60 * STATIONS * DERIVED_SHARE * arrived
    [reconcile] = [s for s in TOPOLOGY.schedules if s.path == "/reconcile"]
    return RUNS * max(10e6, looked) + SECONDS / reconcile.every_s * (counted + arrivals)


def expected_bytes(rows_a_day, stations):
    """The most that BigQuery expects of one query of the dashboard, which is told partitions by the day."""
    columns = (
        "event_id", "city_id", "station_id", "kind", "delta", "event_date", "ingest_ts", "ts_iso", "message_id",
        "source",
    )  # fmt: skip
    states = stations * STATUS_SHARE * 24 * 60
    features = RUNS / ASSUMED["hours_a_month"] * 24 * stations * len(catalogue())
    return max(
        # stations.sql: each row's state, and its history; 3 days are parts of 4
        4 * states * width("station_status")
        + 4 * states * width("station_status", "system_id", "station_id", "feed_ts", "bikes", "docks"),
        # features.sql: the newest run of 4 days, and its rows; the fifth day is not there yet
        4 * features * width("station_features", "city_id", "as_of", "event_date")
        + 4 * features * width("station_features"),
        # flow.sql, half an hour after midnight
        2 * rows_a_day * width("raw_events", *columns),
    )


def query_bytes(days=STORED_DAYS):
    return RUNS * run_bytes(STATIONS * DERIVED_SHARE * 24 * 60, days=days) + history_bytes(days)


def components():
    """Of a month: list price, less what is free, amount that messages are divided into."""
    dataflow = worker_usd(ASSUMED["hours_a_month"]) + engine_usd(MINUTES * SNAPSHOT_BYTES)
    amounts = {
        "Pub/Sub": ("pubsub", pubsub_bytes()),
        "BigQuery queries": ("bigquery_query", query_bytes()),
        "BigQuery writes": ("bigquery_write", written_bytes()),
        "BigQuery storage": ("bigquery_storage", stored_bytes()),
        "Cloud Scheduler": ("scheduler", len(TOPOLOGY.schedules_of("sql"))),
    }
    return {
        "Dataflow, `pmp-curate-status`": (dataflow, dataflow),
        "Cloud Run": (run_month()[1], run_month(billed=True)[1]),
        **{label: (usd(*amount), usd(*amount, billed=True)) for label, amount in amounts.items()},
    }


SIZES = (1, 100, 1500)
EVENTS_A_SECOND = 100_000
ROWS_A_DAY = [size * STATIONS * DERIVED_SHARE * 24 * 60 for size in SIZES] + [EVENTS_A_SECOND * 86_400]
BUSY_STATIONS = [size * STATIONS for size in SIZES] + [SIZES[-1] * STATIONS]
EXPECTED_BYTES = [expected_bytes(*one) for one in zip(ROWS_A_DAY, BUSY_STATIONS, strict=True)]
RUN_BYTES = [run_bytes(*one) for one in zip(ROWS_A_DAY, BUSY_STATIONS, strict=True)]


def of_sizes(name, per_system, per_event):
    amounts = [*(size * per_system for size in SIZES), EVENTS_A_SECOND * SECONDS * per_event]
    return [usd(name, amount) for amount in amounts]


AMOUNTS = {
    "Pub/Sub, USD a month": of_sizes("pubsub", pubsub_bytes(), EVENT_BYTES * times("sensor-events")),
    "BigQuery writes, USD a month": of_sizes("bigquery_write", written_bytes(), EVENT_BYTES),
    "Cloud Run requests for sensor events by push, USD a month": of_sizes("run_request", DERIVED, 1),
    "Streaming Engine data, USD a month, three times the bytes": of_sizes(
        "dataflow_data", 3 * MINUTES * SNAPSHOT_BYTES, 3 * EVENT_BYTES
    ),
    "SQL features on demand, TB a run": [amount / 1e12 for amount in RUN_BYTES],
    "SQL features on demand, USD a month, every 30 minutes": [
        usd("bigquery_query", amount) * RUNS for amount in RUN_BYTES
    ],
    "most that BigQuery expects of a dashboard's query, GiB": [amount / GIB for amount in EXPECTED_BYTES],
    "raw rows a day": ROWS_A_DAY,
}
