"""The three contestants, each from the same Parquet files to finished rows."""

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pmp_schema.features import Scope, catalogue
from pmp_schema.features import feature_rows as feature_statement
from pmp_schema.tables import table
from tests.bench.feature_data import scope
from tests.fakes.duck_warehouse import TYPES, Duck, translated

BATCH_ROWS = 50_000
SHARDS = 16
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def batches(path: str, given: Scope) -> Iterator[pa.RecordBatch]:
    """What the Storage Read API would give of a partition: the columns and rows of the scope."""
    from pmp_beam.station_features.deliveries import SCHEMA

    known_at = pa.scalar(given.known_at, SCHEMA.field("ingest_ts").type)
    for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=SCHEMA.names, use_threads=False):
        yield batch.filter(pa.compute.less_equal(batch["ingest_ts"], known_at))


# --- ours -----------------------------------------------------------------------------------------------------------


def ours(files: list[str], workers: int) -> Iterator[tuple[str, Callable[[], list[Any]]]]:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    from pmp_beam.station_features.pipeline import StationFeatures, rows_of

    mode = ["--direct_running_mode=multi_threading"] if workers > 1 else []
    options = PipelineOptions([f"--direct_num_workers={workers}", *mode])
    given = scope()

    def run(paths: list[str]) -> list[bytes]:
        with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
            deliveries = (
                pipeline
                | beam.Create(paths or [""])
                | beam.FlatMap(lambda path: batches(path, given) if path else ())
            )
            counts = pipeline | "None" >> beam.Create([])
            rows = {"deliveries": deliveries, "counts": counts} | StationFeatures(
                catalogue(), given, shards=SHARDS
            )
            _ = rows | beam.Map(collect)
        return BLOCKS

    yield "start", lambda: run([])
    yield "run", lambda: [row for block in run(files) for row in rows_of(block)]


BLOCKS: list[bytes] = []


def collect(block: bytes) -> None:
    """Keeps a block; the runner's workers are threads of this process."""
    BLOCKS.append(block)


def stages(files: list[str]) -> dict[str, float]:
    """Processor seconds of each step of the same computation, in a loop."""
    from pmp_beam.station_features import deliveries, facts, partials, rows, shards

    given, used = scope(), dict[str, float]()

    def step(name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        began = time.process_time()
        result = work(*arguments)
        used[name] = used.get(name, 0.0) + time.process_time() - began
        return result

    def read(path: str) -> pa.Table:
        return pa.Table.from_batches(batches(path, given), schema=deliveries.SCHEMA)

    def cut(whole: pa.Table, column: str) -> list[tuple[int, pa.Table]]:
        return list(shards.cut(whole, column, SHARDS))

    pieces: dict[int, list[bytes]] = {}
    for path in files:
        for number, piece in step("cut into shards", cut, step("read Parquet", read, path), "station_id"):
            pieces.setdefault(number, []).append(step("pack (zstd)", shards.pack, piece))
    stations = []
    for packed in pieces.values():
        own = step("unpack", shards.unpack, packed)
        events = step("deduplicate", facts.used_events, own, given)
        known = step("stations, ages", facts.Facts, events, facts.COUNTS_SCHEMA.empty_table(), given)
        stations.append(step("aggregate", partials.partials, known, catalogue()))
    step("cities, rows", rows.feature_rows, pa.concat_tables(stations), catalogue(), given.as_of)
    return used


# --- DuckDB ---------------------------------------------------------------------------------------------------------


def duck(files: list[str], workers: int) -> Iterator[tuple[str, Callable[[], list[Any]]]]:
    connection = duckdb.connect(config={"threads": workers})
    connection.execute("SET TimeZone = 'UTC'")
    columns = ", ".join(f"{c.name} {TYPES[c.type]}" for c in table("station_daily_counts").columns)
    connection.execute(f"CREATE TABLE station_daily_counts ({columns})")
    connection.execute(f"CREATE VIEW raw_events AS SELECT * FROM read_parquet({files!r})")
    given = feature_statement(Duck.tables, catalogue(), scope())
    values = {
        one.name: list(one.value) if isinstance(one.value, tuple) else one.value for one in given.parameters
    }
    sql = translated(given.sql)
    yield "start", lambda: connection.execute("SELECT 1").fetchall()
    yield "run", lambda: connection.execute(sql, values).to_arrow_table().to_pylist()


# --- a plain pipeline -----------------------------------------------------------------------------------------------


def plain(files: list[str], workers: int) -> Iterator[tuple[str, Callable[[], list[Any]]]]:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    mode = ["--direct_running_mode=multi_processing"] if workers > 1 else []
    options = PipelineOptions([f"--direct_num_workers={workers}", *mode])
    given = scope()

    def run(paths: list[str], folder: str) -> list[Any]:
        with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
            _ = (
                pipeline
                | beam.Create(paths)
                | beam.io.ReadAllFromParquet()
                | "Known" >> beam.Filter(lambda event: event["ingest_ts"] <= given.known_at)
                | "Key" >> beam.Map(lambda e: ((str(e["event_date"]), e["station_id"], e["event_id"]), e))
                | "Deliveries" >> beam.GroupByKey()
                | "First" >> beam.Map(lambda e: min(e[1], key=lambda d: (d["ingest_ts"], d["message_id"])))
                | "Past" >> beam.Filter(lambda event: event["ts_iso"] <= given.as_of)
                | "Station" >> beam.Map(lambda event: ((event["city_id"], event["station_id"]), event))
                | "Stations" >> beam.GroupByKey()
                | "Features" >> beam.MapTuple(lambda key, events: (key[0], (key[1], _station(events))))
                | "Cities" >> beam.GroupByKey()
                | "Rows" >> beam.FlatMapTuple(_city)
                | "Line" >> beam.Map(json.dumps)
                | beam.io.WriteToText(f"{folder}/rows")
            )
        return [json.loads(line) for path in Path(folder).iterdir() for line in path.open()]

    with tempfile.TemporaryDirectory() as folder:
        yield "start", lambda: run([], folder)
        yield "run", lambda: run(files, folder)


def _station(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One loop over a station's events, as one would write it."""
    as_of = scope().as_of
    n: dict[str, Any] = dict.fromkeys(
        ("p30", "p2", "p24", "d30", "d2", "d24", "flow30", "flow2", "turnover", "pickup_bikes", "large"), 0
    )
    n |= dict.fromkeys(("lag24", "lag168", "baseline", "p1", "total", "recent"), 0)
    n |= dict.fromkeys(("max", "last_p", "last_d"))
    for event in events:
        age, bikes, is_pickup = as_of - event["ts_iso"], event["delta"], event["kind"] == "pickup"
        letter, sign = ("p", -1) if is_pickup else ("d", 1)
        n["total"] += is_pickup
        n["recent"] += age < 28 * DAY
        if age < 7 * DAY and (n[f"last_{letter}"] is None or age < n[f"last_{letter}"]):
            n[f"last_{letter}"] = age
        if is_pickup:
            n["lag24"] += DAY <= age < DAY + HOUR
            n["lag168"] += 7 * DAY <= age < 7 * DAY + HOUR
            n["baseline"] += 7 * DAY <= age < 28 * DAY + HOUR and age % (7 * DAY) < HOUR
            n["p1"] += age < HOUR
        if age < DAY:
            n[f"{letter}24"] += 1
            n["turnover"] += bikes
            n["pickup_bikes"] += bikes if is_pickup else 0
            n["large"] += bikes >= 5
            n["max"] = bikes if n["max"] is None else max(n["max"], bikes)
            if age < 2 * HOUR:
                n[f"{letter}2"] += 1
                n["flow2"] += sign * bikes
            if age < HOUR / 2:
                n[f"{letter}30"] += 1
                n["flow30"] += sign * bikes
    return n


def _city(city: str, stations: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    stations = list(stations)
    pickups = sum(n["p24"] for _, n in stations)
    totals = sorted((n["total"] for _, n in stations if n["total"]), reverse=True)
    for station, n in stations:
        if not n["recent"]:
            continue
        usual = n["baseline"] / 4
        busier = next((i for i, total in enumerate(totals) if total <= n["total"]), len(totals))
        values = {
            ("pickup_count", "30m"): n["p30"],
            ("pickup_count", "2h"): n["p2"],
            ("pickup_count", "24h"): n["p24"],
            ("dropoff_count", "30m"): n["d30"],
            ("dropoff_count", "2h"): n["d2"],
            ("dropoff_count", "24h"): n["d24"],
            ("net_flow", "30m"): n["flow30"],
            ("net_flow", "2h"): n["flow2"],
            ("turnover", "24h"): n["turnover"],
            ("avg_delta_pickup", "24h"): n["pickup_bikes"] / n["p24"] if n["p24"] else None,
            ("max_abs_delta", "24h"): n["max"],
            ("rebalancing_suspect", "24h"): n["large"],
            ("minutes_since_last_pickup", "168h"): _minutes(n["last_p"]),
            ("minutes_since_last_dropoff", "168h"): _minutes(n["last_d"]),
            ("pickup_lag", "24h"): n["lag24"],
            ("pickup_lag", "168h"): n["lag168"],
            ("hour_of_week_baseline", "4w"): usual,
            ("demand_z", "1h"): (n["p1"] - usual) / math.sqrt(usual + 1),
            ("city_share", "24h"): n["p24"] / pickups if pickups else None,
            ("pickup_total", "all_time"): n["total"],
            ("is_peak_station", "all_time"): int(n["total"] >= 10 and busier < len(totals) / 10),
        }
        for (name, window), value in values.items():
            if value is not None:
                row = {"city_id": city, "station_id": station, "feature_name": name, "window_len": window}
                yield row | {"value": float(value), "as_of": scope().as_of.isoformat()}


def _minutes(age: timedelta | None) -> float | None:
    return None if age is None else age / timedelta(minutes=1)


ENGINES = {"ours": ours, "duckdb": duck, "plain": plain}
