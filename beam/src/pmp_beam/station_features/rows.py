"""From the stations of whole cities to the rows of station_features."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa

from pmp_beam.station_features.facts import Numbers
from pmp_beam.station_features.partials import IS_ACTIVE
from pmp_beam.station_features.shards import Integers, codes
from pmp_schema.features import PEAK_MIN_EVENTS, Feature


def feature_rows(stations: pa.Table, features: Sequence[Feature], as_of: datetime) -> pa.Table:
    """The rows of station_features.

    Args:
        stations: what `partials` gives, with every station of each city that it has.
    """
    city, _ = codes(stations["city_id"])
    matrix = np.empty((stations.num_rows, len(features)))
    for index, feature in enumerate(features):
        own = stations[feature.column].to_numpy()
        finish = FINISHED.get(feature.aggregation.name)
        matrix[:, index] = finish(own, city) if finish else own
    exists = ~np.isnan(matrix) & stations[IS_ACTIVE].to_numpy()[:, np.newaxis]
    station, number = np.nonzero(exists)
    as_of = as_of.astimezone(UTC)
    rows = len(station)
    return pa.table(
        {
            "city_id": stations["city_id"].take(pa.array(station)),
            "station_id": stations["station_id"].take(pa.array(station)),
            "feature_name": _named([feature.name for feature in features], number),
            "window_len": _named([feature.window for feature in features], number),
            "value": pa.array(matrix[exists]),
            "as_of": pa.repeat(pa.scalar(as_of, pa.timestamp("us", "UTC")), rows),
            "event_date": pa.repeat(pa.scalar(as_of.date(), pa.date32()), rows),
        }
    )


def _named(names: Sequence[str], number: Integers) -> pa.DictionaryArray:
    texts = list(dict.fromkeys(names))
    index = np.array([texts.index(name) for name in names], np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(index[number]), pa.array(texts, pa.string()))


def _share(own: Numbers, city: Integers) -> Numbers:
    total = np.bincount(city, own)[city]
    return np.divide(own, total, out=np.full_like(own, np.nan), where=total != 0)


def _is_peak(own: Numbers, city: Integers) -> Numbers:
    busy = np.bincount(city, own > 0)[city]
    is_peak = (own >= PEAK_MIN_EVENTS) & (10 * _busier(own, city) < busy)
    return is_peak.astype(np.float64)


def _busier(own: Numbers, city: Integers) -> Integers:
    """How many stations of the same city have more."""
    order = np.lexsort((-own, city))
    starts_city = np.diff(city[order], prepend=-1) != 0
    starts_rank = starts_city | (np.diff(own[order], prepend=np.nan) != 0)
    position = np.arange(len(own))
    first_of_city = np.maximum.accumulate(np.where(starts_city, position, 0))
    first_of_rank = np.maximum.accumulate(np.where(starts_rank, position, 0))
    busier = np.empty(len(own), np.int64)
    busier[order] = first_of_rank - first_of_city
    return busier


FINISHED: Final[Mapping[str, Callable[[Numbers, Integers], Numbers]]] = {
    "city_share": _share,
    "peak_station": _is_peak,
}
