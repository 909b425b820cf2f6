"""The numbers of the guides to cost and scale are those of the model."""

import re

import pytest

from pmp_dashboard.config import MAX_BYTES_BILLED
from tests.contract import cost_model as model

COST = (model.ROOT / "docs/07-demo-and-cost-control.md").read_text("utf-8")
FEATURES = (model.ROOT / "docs/10-features.md").read_text("utf-8")
SCALE = (model.ROOT / "docs/12-scaling-plan.md").read_text("utf-8")


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


@pytest.mark.parametrize("label", model.components())
def test_a_component_of_the_month_is_computed(label):
    assert tables(COST)[label][1:3] == money(*model.components()[label])


def test_the_month_adds_up():
    every = list(zip(*model.components().values(), strict=True))
    without = list(zip(*list(model.components().values())[1:], strict=True))
    assert tables(COST)["all"][1:3] == money(*map(sum, every))
    assert tables(COST)["all but Dataflow"][1:3] == money(*map(sum, without))


def test_amounts_of_the_month_are_computed():
    used, _ = model.run_month()
    told = tables(COST)
    requests, seconds = (
        used["run_request"] / 1e6,
        f"{used['run_cpu']:,.0f} vCPU s, {used['run_memory']:,.0f} GiB s",
    )
    assert told["Cloud Run"][0] == f"{requests:.2f} million requests, {seconds}"
    assert told["Pub/Sub"][0] == f"{model.pubsub_bytes() / model.GIB:.0f} GiB"
    assert told["BigQuery writes"][0] == f"{model.written_bytes() / model.GIB:.0f} GiB"
    assert told["BigQuery storage"][0] == f"{model.stored_bytes() / model.GIB:.0f} GiB after a month"
    assert told["BigQuery queries"][0].startswith(f"{model.query_bytes() / model.TIB:.2f} TiB")
    assert f"{model.DERIVED / model.MINUTES:.0f} derived rides a minute" in COST


@pytest.mark.parametrize("label", ["Cloud Run", "Pub/Sub", "BigQuery writes"])
def test_a_price_per_million_messages_is_computed(label):
    messages = model.DERIVED + model.MINUTES + model.OPS
    assert tables(COST)[label][3:4] == money(model.components()[label][0] / messages * 1e6)


def test_a_year_of_tables_and_the_launcher_s_waiting_are_computed():
    year = model.query_bytes(365)
    [listed, billed] = money(
        model.usd("bigquery_query", year), model.usd("bigquery_query", year, billed=True)
    )
    assert f"{year / model.TIB:.2f} TiB" in COST
    assert f"older events and the reconciliation grow with what is kept: {listed}" in flowing(COST)
    assert f"less what is free {billed}" in flowing(COST)
    [waiting] = money(model.requests_usd(model.RUNS, model.memory_gib("launcher"), seconds=10))
    assert f"a month of them is {waiting} more" in flowing(COST)


def test_what_the_view_of_the_newest_features_reads_is_computed():
    assert f"{model.feature_bytes() / 1e9:.1f} GB after a month of one system" in flowing(FEATURES)


def test_a_million_of_one_kind_is_computed():
    writer = model.memory_gib("writer")
    idle = model.requests_usd(1e6, writer)
    busy = model.requests_usd(1e6, writer, seconds=0.0032)
    polled = idle + model.requests_usd(1e6, model.memory_gib("collector"))
    delivered, written = (
        model.usd("pubsub", 1e6 * model.EVENT_BYTES * model.times("sensor-events")),
        model.usd("bigquery_write", 1e6 * model.EVENT_BYTES),
    )
    [cloud_run, rest] = [money(idle, busy), money(delivered + busy + written, delivered + idle + written)]
    assert tables(COST)["sensor events by push"] == [
        *money(delivered), f"{cloud_run[0]} on an idle service, {cloud_run[1]} on a busy one", *money(written), "-",
        f"{rest[0]} to {rest[1]}",
    ]  # fmt: skip
    feed = 1e6 * model.SNAPSHOT_BYTES
    parts = (
        model.usd("pubsub", feed * model.times("snapshots")),
        polled,
        model.usd("bigquery_write", feed),
        model.engine_usd(feed),
    )
    [published, polls, kept, processed, together] = money(*parts, sum(parts))
    assert tables(COST)["snapshots of 0.7 MB"] == [
        published, f"{polls} with their polls", kept, f"{processed} for the curation", together
    ]  # fmt: skip


def test_the_alternatives_are_computed():
    data = model.engine_usd(model.MINUTES * model.SNAPSHOT_BYTES)
    waiting = 6 * 24 * 60 * model.SNAPSHOT_BYTES / model.GIB
    told = list(tables(COST).values())
    demos, an_hour_a_day, small, unread = money(
        model.worker_usd(16) + model.engine_usd(16 * 60 * model.SNAPSHOT_BYTES),
        model.worker_usd(model.ASSUMED["hours_a_month"] / 24) + data,
        model.worker_usd(model.ASSUMED["hours_a_month"], cpus=1, gib=3.75) + data,
        waiting * 0.27,
    )
    costs = [row[0] for row in told]
    assert f"{demos} for Dataflow, data included" in costs
    assert an_hour_a_day in costs
    assert small in costs
    assert f"{unread} for the subscription that nobody reads, see below" in costs
    assert f"{waiting:.1f} GiB, {unread} a month" in COST


@pytest.mark.parametrize("label", model.AMOUNTS)
def test_an_amount_of_each_size_is_computed(label):
    told = [number(cell) for cell in tables(SCALE)[label]]
    assert told == pytest.approx(model.AMOUNTS[label], rel=0.05)


def test_what_is_kept_is_computed():
    raw = model.width("raw_events")
    kept = {
        "snapshots": [size * model.MINUTES * model.SNAPSHOT_BYTES for size in model.SIZES],
        "raw events": [
            *(size * model.DERIVED * raw for size in model.SIZES),
            model.EVENTS_A_SECOND * model.SECONDS * raw,
        ],
    }
    for what, amounts in kept.items():
        cells = tables(SCALE)[f"{what} kept, TB a month (USD a month for each month kept)"]
        told = [re.findall(r"[\d.]+", cell) for cell in cells if cell]
        assert [float(tb) for tb, _ in told] == pytest.approx([a / 1e12 for a in amounts], rel=0.2)
        assert [float(cost) for _, cost in told] == pytest.approx(
            [model.usd("bigquery_storage", a) for a in amounts], rel=0.1
        )


def test_prices_in_the_text_of_the_plan_are_computed():
    text = flowing(SCALE)
    busy = model.requests_usd(1e6, model.memory_gib("writer"), seconds=0.0032)
    millions = model.worker_usd(model.ASSUMED["hours_a_month"]) / busy
    assert f"0.40 for requests and {busy - 0.40:.2f} for its processor and memory" in text
    assert f"buys {millions:.0f} million: {millions * 1e6 / model.SECONDS:.0f} a second" in text
    assert (
        f"{model.RUN_BYTES[-1] / 1e12:.1f} TB, {model.usd('bigquery_query', model.RUN_BYTES[-1]):.0f} USD"
        in text
    )
    older = (
        (365 - model.STORED_DAYS)
        * model.ROWS_A_DAY[-1]
        * model.width("raw_events", "event_date", "ingest_ts")
    )
    assert f"{older / 1e12:.0f} TB more after a year" in text
    pilot = 1.5 * model.EVENTS_A_SECOND / 10_000 * model.worker_usd(model.ASSUMED["hours_a_month"])
    assert f"{pilot:,.0f} if one takes 10,000/s" in text


def test_the_dashboard_s_limit_lets_the_plan_s_systems_through_and_not_every_event():
    *systems, events = model.EXPECTED_BYTES
    assert max(systems) < MAX_BYTES_BILLED < events
    assert f"`DASHBOARD_MAX_BYTES_BILLED`, {MAX_BYTES_BILLED / model.TIB:.0f} TiB" in flowing(SCALE)
    assert f"expected to be {events / model.TIB:.0f} TiB" in flowing(SCALE)


def number(cell):
    """The first number of a cell, in words or not."""
    text, _, unit = cell.partition(" ")
    return float(text.replace(",", "").rstrip(":")) * {"million": 1e6, "billion": 1e9}.get(unit, 1)


def flowing(page):
    return " ".join(page.split())
