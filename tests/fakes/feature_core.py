"""The columnar engine, tables in and rows out: through its shards and their bytes alone, and through the pipeline."""

import json
import random

import apache_beam as beam
import pyarrow as pa

from pmp_beam.runners import run_batch
from pmp_beam.station_features.deliveries import SCHEMA
from pmp_beam.station_features.facts import COUNTS_SCHEMA, Facts, used_events
from pmp_beam.station_features.files import ToFile
from pmp_beam.station_features.partials import partials
from pmp_beam.station_features.pipeline import build
from pmp_beam.station_features.rows import feature_rows
from pmp_beam.station_features.shards import cut, pack, unpack
from pmp_schema.features import catalogue
from tests.fakes.feature_run import raw_rows


def delivery_table(events):
    return pa.Table.from_pylist(raw_rows(events), schema=SCHEMA)


def scanned(events, scope):
    """The rows of raw_events that a run reads."""
    return [
        event
        for event in events
        if event.ingest_ts <= scope.known_at
        and (
            scope.first_date <= event.event_date <= scope.as_of.date() or event.event_date in scope.late_dates
        )
    ]


def scanned_counts(rows, scope):
    """The rows of station_daily_counts that a run reads."""
    return [
        {name: row[name] for name in COUNTS_SCHEMA.names}
        for row in rows
        if row["event_date"] < scope.as_of.date() and row["first_ingest_date"] < scope.open_from
    ]


def core_rows(deliveries, counts, scope, *, shards=3, pieces=4, seed=0, features=None):
    """Rows as dicts. The deliveries come in some batches of any size, as they do from storage."""
    features = catalogue() if features is None else features
    rng = random.Random(seed)
    shuffled = {number: ([], []) for number in range(shards)}
    ends = sorted(rng.randrange(deliveries.num_rows + 1) for _ in range(pieces - 1))
    for first, last in zip([0, *ends], [*ends, deliveries.num_rows], strict=True):
        for number, piece in cut(deliveries.slice(first, last - first), "station_id", shards):
            shuffled[number][0].append(pack(piece))
    for number, piece in cut(counts, "station_id", shards):
        shuffled[number][1].append(pack(piece))
    cities = {number: [] for number in range(shards)}
    for own_deliveries, own_counts in shuffled.values():
        own = partials(
            Facts(
                used_events(unpack(own_deliveries, SCHEMA), scope), unpack(own_counts, COUNTS_SCHEMA), scope
            ),
            features,
        )
        for number, piece in cut(own, "city_id", shards):
            cities[number].append(pack(piece))
    return [
        row
        for stations in cities.values()
        if stations
        for row in feature_rows(unpack(stations), features, scope.as_of).to_pylist()
    ]


def pipeline_rows(path, deliveries, counts, scope, *, shards=4, debug=None):
    """The rows that the pipeline writes; the batches come one by one."""
    run_batch(
        lambda pipeline: build(
            pipeline,
            catalogue(),
            scope,
            shards=shards,
            deliveries=beam.Create(deliveries),
            counts=beam.Create(counts),
            sink=ToFile(str(path)),
            debug=debug,
        )
    )
    return json.loads(path.read_text("utf-8"))
