"""One run of the SQL engine in a test: events in, rows out, against whatever runs its statements."""

from pmp_schema.features import catalogue, close_days, feature_rows, read_scope


def raw_rows(events):
    """The events as rows of raw_events."""
    return [
        {
            "event_id": event.event_id,
            "city_id": event.city_id,
            "station_id": event.station_id,
            "ts_iso": event.ts,
            "kind": event.kind,
            "delta": event.delta,
            "event_date": event.event_date,
            "ingest_ts": event.ingest_ts,
            "message_id": event.message_id,
        }
        for event in events
    ]


def sql_rows(warehouse, tables, scenario, features=None):
    """The rows of station_features, after the days of the scenario were closed."""
    features = catalogue() if features is None else features
    for through in scenario.closings:
        close_days(warehouse, tables, through=through)
    scope = read_scope(warehouse, tables, features, as_of=scenario.as_of, known_at=scenario.known_at)
    return warehouse.query(feature_rows(tables, features, scope))


def by_key(rows):
    """{(city_id, station_id, feature_name, window_len): value}; every key must be there once."""
    keyed = {
        (row["city_id"], row["station_id"], row["feature_name"], row["window_len"]): row["value"]
        for row in rows
    }
    assert len(keyed) == len(rows)
    return keyed


def counts_by_key(rows):
    """{(city_id, station_id, kind, event_date, first_ingest_date): (events, bikes)}; every key must be there once."""
    key = ("city_id", "station_id", "kind", "event_date", "first_ingest_date")
    keyed = {tuple(row[column] for column in key): (row["events"], row["bikes"]) for row in rows}
    assert len(keyed) == len(rows)
    return keyed
