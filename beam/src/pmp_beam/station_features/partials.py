"""What the features are of one station at a time: one function per aggregation of the catalogue."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from pmp_beam.station_features.facts import DROPOFF, Facts, Numbers
from pmp_schema.features import ACTIVE, LARGE_DELTA, Feature, Slot

IS_ACTIVE: Final = "is_active"
_MINUTE_US: Final = 60_000_000


def partials(facts: Facts, features: Sequence[Feature]) -> pa.Table:
    """One row per station: city_id, station_id, is_active and a column per feature, NaN where it has no value.

    What needs the other stations of the city is not finished: the column has what the city's sum and rank are made of.
    """
    columns = {feature.column: PARTIALS[feature.aggregation.name](facts, feature) for feature in features}
    recent = facts.rows("any", (Slot(ACTIVE),))
    is_active = facts.count(recent) > 0
    table = facts.stations.append_column(IS_ACTIVE, pa.array(is_active))
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


def _events(facts: Facts, feature: Feature) -> Numbers:
    return facts.count(facts.rows(feature.kind, feature.reach.current))


def _bikes(facts: Facts, feature: Feature) -> Numbers:
    rows = facts.rows(feature.kind, feature.reach.current)
    return facts.total(rows, facts.delta[rows])


def _net_bikes(facts: Facts, feature: Feature) -> Numbers:
    rows = facts.rows(feature.kind, feature.reach.current)
    delta = facts.delta[rows]
    return facts.total(rows, np.where(facts.kind[rows] == DROPOFF, delta, -delta))


def _mean_delta(facts: Facts, feature: Feature) -> Numbers:
    return _divided(_bikes(facts, feature), _events(facts, feature))


def _max_delta(facts: Facts, feature: Feature) -> Numbers:
    rows = facts.rows(feature.kind, feature.reach.current)
    return facts.largest(rows, facts.delta[rows])


def _large_events(facts: Facts, feature: Feature) -> Numbers:
    rows = facts.rows(feature.kind, feature.reach.current)
    return facts.count(rows[facts.delta[rows] >= LARGE_DELTA])


def _minutes_since_last(facts: Facts, feature: Feature) -> Numbers:
    rows = facts.rows(feature.kind, feature.reach.current)
    return -facts.largest(rows, -facts.age_us[rows].astype(np.float64)) / _MINUTE_US


def _weekly_mean(facts: Facts, feature: Feature) -> Numbers:
    baseline = feature.reach.baseline
    return facts.count(facts.rows(feature.kind, baseline)) / len(baseline)


def _demand_z(facts: Facts, feature: Feature) -> Numbers:
    usual = _weekly_mean(facts, feature)
    score: Numbers = (_events(facts, feature) - usual) / np.sqrt(usual + 1)
    return score


def _all_time_events(facts: Facts, feature: Feature) -> Numbers:
    return facts.all_time(feature.kind)


def _divided(numbers: Numbers, by: Numbers) -> Numbers:
    return np.divide(numbers, by, out=np.full_like(numbers, np.nan), where=by != 0)


PARTIALS: Final[Mapping[str, Callable[[Facts, Feature], Numbers]]] = {
    "events": _events,
    "bikes": _bikes,
    "net_bikes": _net_bikes,
    "mean_delta": _mean_delta,
    "max_delta": _max_delta,
    "large_events": _large_events,
    "minutes_since_last": _minutes_since_last,
    "lagged_events": _events,
    "weekly_mean": _weekly_mean,
    "demand_z": _demand_z,
    "city_share": _events,
    "all_time_events": _all_time_events,
    "peak_station": _all_time_events,
}
