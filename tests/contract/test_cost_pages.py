"""The numbers of the guides to cost and scale follow from the prices, the topology, the sizes and the schemas."""

import re
import tomllib
from pathlib import Path

import pytest

from pmp_schema.features import catalogue, look_back
from pmp_schema.tables import table
from pmp_schema.topology import TOPOLOGY

ROOT = Path(__file__).parents[2]
COST = (ROOT / "docs/07-demo-and-cost-control.md").read_text("utf-8")
SCALE = (ROOT / "docs/12-scaling-plan.md").read_text("utf-8")
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


def stored_bytes():
    """After a month; features by each run, each feature of each station."""
    features = RUNS * STATIONS * len(catalogue()) * width("station_features")
    return written_bytes() - DERIVED * (EVENT_BYTES - width("raw_events")) + features


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
    statements = (
        window * rows_a_day * events,  # feature_rows.sql
        days * stations * 2 * (width("station_daily_counts") - 8),
        (days - window) * rows_a_day * width("raw_events", "event_date", "ingest_ts"),  # open_dates.sql
        days * stations * 2 * 8,  # closed_through.sql, twice
        days * stations * 2 * 8,
        24
        * stations
        * len(catalogue())
        * width("station_features"),  # the day's rows, in the middle of the day
        stations * len(catalogue()) * width("station_features"),
    )
    return sum(max(10e6, amount) for amount in statements)


def history_bytes(days=STORED_DAYS):
    """What a month of looks at the list of runs and of reconciliations reads: of all days that are kept."""
    events = days * 24 * 60 * 3 * width("events", "event_id", "type", "subject", "time", "data", "publish_ts")
    arrived = width("raw_events", "event_id", "event_date", "station_id", "message_id", "publish_ts")
    arrivals = days * 24 * 60 * STATIONS * DERIVED_SHARE * arrived
    [reconcile] = [s for s in TOPOLOGY.schedules if s.path == "/reconcile"]
    return RUNS * max(10e6, events) + SECONDS / reconcile.every_s * (events + arrivals)


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


def tables(page):
    """The rows of all tables, by their first cell without emphasis."""
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line[:1] == "|"
    ]
    return {row[0]: row[1:] for row in rows}


def money(*amounts):
    return [f"{amount:,.2f}" for amount in amounts]


@pytest.mark.parametrize("label", components())
def test_a_component_of_the_month_is_computed(label):
    assert tables(COST)[label][1:3] == money(*components()[label])


def test_the_month_adds_up():
    every = list(zip(*components().values(), strict=True))
    without = list(zip(*list(components().values())[1:], strict=True))
    assert tables(COST)["all"][1:3] == money(*map(sum, every))
    assert tables(COST)["all but Dataflow"][1:3] == money(*map(sum, without))


def test_amounts_of_the_month_are_computed():
    used, _ = run_month()
    told = tables(COST)
    requests, seconds = (
        used["run_request"] / 1e6,
        f"{used['run_cpu']:,.0f} vCPU s, {used['run_memory']:,.0f} GiB s",
    )
    assert told["Cloud Run"][0] == f"{requests:.2f} million requests, {seconds}"
    assert told["Pub/Sub"][0] == f"{pubsub_bytes() / GIB:.0f} GiB"
    assert told["BigQuery writes"][0] == f"{written_bytes() / GIB:.0f} GiB"
    assert told["BigQuery storage"][0] == f"{stored_bytes() / GIB:.0f} GiB after a month"
    assert told["BigQuery queries"][0].startswith(f"{query_bytes() / TIB:.2f} TiB")
    assert f"{DERIVED / MINUTES:.0f} derived rides a minute" in COST


@pytest.mark.parametrize("label", ["Cloud Run", "Pub/Sub", "BigQuery writes"])
def test_a_price_per_million_messages_is_computed(label):
    messages = DERIVED + MINUTES + OPS
    assert tables(COST)[label][3:4] == money(components()[label][0] / messages * 1e6)


def test_a_year_of_tables_and_the_launcher_s_waiting_are_computed():
    year = query_bytes(365)
    [listed, billed] = money(usd("bigquery_query", year), usd("bigquery_query", year, billed=True))
    assert f"{year / TIB:.2f} TiB" in COST
    assert (
        f"older events, the list of runs and the reconciliation grow with what is kept: {listed}"
        in flowing(COST)
    )
    assert f"less what is free {billed}" in flowing(COST)
    [waiting] = money(requests_usd(RUNS, memory_gib("launcher"), seconds=10))
    assert f"a month of them is {waiting} more" in flowing(COST)


def test_a_million_of_one_kind_is_computed():
    writer = memory_gib("writer")
    idle = requests_usd(1e6, writer)
    busy = requests_usd(1e6, writer, seconds=0.0032)
    polled = idle + requests_usd(1e6, memory_gib("collector"))
    delivered, written = (
        usd("pubsub", 1e6 * EVENT_BYTES * times("sensor-events")),
        usd("bigquery_write", 1e6 * EVENT_BYTES),
    )
    [cloud_run, rest] = [money(idle, busy), money(delivered + busy + written, delivered + idle + written)]
    assert tables(COST)["sensor events by push"] == [
        *money(delivered), f"{cloud_run[0]} on an idle service, {cloud_run[1]} on a busy one", *money(written), "-",
        f"{rest[0]} to {rest[1]}",
    ]  # fmt: skip
    feed = 1e6 * SNAPSHOT_BYTES
    parts = usd("pubsub", feed * times("snapshots")), polled, usd("bigquery_write", feed), engine_usd(feed)
    [published, polls, kept, processed, together] = money(*parts, sum(parts))
    assert tables(COST)["snapshots of 0.7 MB"] == [
        published, f"{polls} with their polls", kept, f"{processed} for the curation", together
    ]  # fmt: skip


def test_the_alternatives_are_computed():
    data = engine_usd(MINUTES * SNAPSHOT_BYTES)
    waiting = 6 * 24 * 60 * SNAPSHOT_BYTES / GIB
    told = list(tables(COST).values())
    demos, an_hour_a_day, small, unread = money(
        worker_usd(16) + engine_usd(16 * 60 * SNAPSHOT_BYTES),
        worker_usd(ASSUMED["hours_a_month"] / 24) + data,
        worker_usd(ASSUMED["hours_a_month"], cpus=1, gib=3.75) + data,
        waiting * 0.27,
    )
    costs = [row[0] for row in told]
    assert f"{demos} for Dataflow, data included" in costs
    assert an_hour_a_day in costs
    assert small in costs
    assert f"{unread} for the subscription that nobody reads, see below" in costs
    assert f"{waiting:.1f} GiB, {unread} a month" in COST


def rounded(amount):
    """As people say it: two digits, three from 1,000 on."""
    text = f"{amount:.2g}" if amount < 1000 else f"{float(f'{amount:.3g}'):,.0f}"
    return f"{float(text):g}" if amount < 1000 else text


SIZES = (1, 100, 1500)
EVENTS_A_SECOND = 100_000
ROWS_A_DAY = [size * STATIONS * DERIVED_SHARE * 24 * 60 for size in SIZES] + [EVENTS_A_SECOND * 86_400]


def of_sizes(name, per_system, per_event):
    return [usd(name, amount) for amount in [*(size * per_system for size in SIZES), EVENTS_A_SECOND * SECONDS * per_event]]


def leading(label):
    """The first number of each cell."""
    return [cell.split(" ")[0] for cell in tables(SCALE)[label]]


@pytest.mark.parametrize(
    ("label", "amounts"),
    [
        ("Pub/Sub, USD a month", of_sizes("pubsub", pubsub_bytes(), EVENT_BYTES * times("sensor-events"))),
        ("BigQuery writes, USD a month", of_sizes("bigquery_write", written_bytes(), EVENT_BYTES)),
        ("Cloud Run requests for sensor events by push, USD a month", of_sizes("run_request", DERIVED, 1)),
    ],
)
def test_an_amount_of_each_size_is_computed(label, amounts):
    assert [float(cell.replace(",", "")) for cell in leading(label)] == pytest.approx(amounts, rel=0.05)

def flowing(page):
    return " ".join(page.split())
