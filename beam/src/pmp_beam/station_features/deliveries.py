"""Deliveries of events: which columns are read, and which delivery of an event counts."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pmp_beam.station_features.shards import codes

TIME: Final = pa.timestamp("us", "UTC")
SCHEMA: Final = pa.schema(
    [
        ("event_id", pa.string()),
        ("city_id", pa.string()),
        ("station_id", pa.string()),
        ("ts_iso", TIME),
        ("kind", pa.string()),
        ("delta", pa.int64()),
        ("event_date", pa.date32()),
        ("ingest_ts", TIME),
        ("message_id", pa.string()),
    ]
)


def is_first_delivery(deliveries: pa.Table) -> npt.NDArray[np.bool_]:
    """For each row whether it is the one that counts of its (event_date, station_id, event_id).

    That is the one with the smallest `ingest_ts`, then the smallest `message_id`, null before any other. All
    deliveries of an event must be here.
    """
    ids, _ = codes(deliveries["event_id"])
    is_repeated = np.bincount(ids)[ids] > 1 if len(ids) else np.zeros(0, np.bool_)
    # Of an id that is here once there is nothing to compare; only the few others are sorted.
    rows = np.flatnonzero(is_repeated)
    if not len(rows):
        return ~is_repeated
    again = deliveries.take(pa.array(rows))
    key = {
        "event_date": again["event_date"].cast(pa.int32()),
        "station": codes(deliveries["station_id"])[0][rows],
        "event": ids[rows],
    }
    rank = {
        "ingest_ts": again["ingest_ts"],
        "has_message_id": again["message_id"].is_valid(),
        "message_id": again["message_id"],
    }
    order = pc.sort_indices(
        pa.table({**key, **rank}), sort_keys=[(name, "ascending") for name in (*key, *rank)]
    ).to_numpy()
    is_first = np.zeros(len(rows), np.bool_)
    is_first[0] = True
    for column in key.values():
        values = np.asarray(column)[order]
        is_first[1:] |= values[1:] != values[:-1]
    counts = ~is_repeated
    counts[rows[order[is_first]]] = True
    return counts
