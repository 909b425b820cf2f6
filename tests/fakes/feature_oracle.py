"""What the features must be, from their definitions alone: dicts, loops, and nothing of the engines.

`scenario(seed)` makes the events of a few cities with whatever is hard about them; `expected_rows` and
`expected_daily_counts` say what follows.
"""

import math
import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Event:
    """A row of raw_events: one delivery of an event."""

    event_id: str
    city_id: str
    station_id: str
    ts: datetime
    kind: str
    delta: int
    ingest_ts: datetime
    message_id: str | None = None

    @property
    def event_date(self):
        return self.ts.date()


@dataclass(frozen=True)
class Scenario:
    """`closings` are the ingest dates up to which the daily counts were brought, in order."""

    events: list[Event]
    as_of: datetime
    known_at: datetime
    closings: list[date]


# --- the oracle -----------------------------------------------------------------------------------------------------


def unique(events, known_at):
    first = {}
    for event in events:
        if event.ingest_ts > known_at:
            continue
        key = (event.event_date, event.station_id, event.event_id)
        if key not in first or _order(event) < _order(first[key]):
            first[key] = event
    return list(first.values())


def _order(event):
    return (event.ingest_ts, event.message_id is not None, event.message_id or "")


def expected_rows(events, as_of, known_at):
    """{(city_id, station_id, feature_name, window_len): value}."""
    history = [event for event in unique(events, known_at) if event.ts <= as_of]
    stations = {}
    for event in history:
        stations.setdefault((event.city_id, event.station_id), []).append(event)
    rows = {}
    for station, own in stations.items():
        if not _inside(own, as_of, 28 * DAY):
            continue
        city = [other for key, other in stations.items() if key[0] == station[0]]
        for (name, window), value in _features(own, city, as_of).items():
            if value is not None:
                rows[*station, name, window] = float(value)
    return rows


def _features(own, city, as_of):
    pickups = [event for event in own if event.kind == "pickup"]
    dropoffs = [event for event in own if event.kind == "dropoff"]
    day = _inside(own, as_of, DAY)
    day_pickups = _inside(pickups, as_of, DAY)
    usual = sum(len(_inside(pickups, as_of - 7 * k * DAY, HOUR)) for k in (1, 2, 3, 4)) / 4
    city_pickups = sum(len(_inside(_pickups(one), as_of, DAY)) for one in city)
    features = {}
    for window, length in {"30m": 30 * MINUTE, "2h": 2 * HOUR, "24h": DAY}.items():
        features["pickup_count", window] = len(_inside(pickups, as_of, length))
        features["dropoff_count", window] = len(_inside(dropoffs, as_of, length))
        if window != "24h":
            came = _bikes(_inside(dropoffs, as_of, length))
            features["net_flow", window] = came - _bikes(_inside(pickups, as_of, length))
    features["turnover", "24h"] = _bikes(day)
    features["avg_delta_pickup", "24h"] = _bikes(day_pickups) / len(day_pickups) if day_pickups else None
    features["max_abs_delta", "24h"] = max((event.delta for event in day), default=None)
    features["rebalancing_suspect", "24h"] = sum(1 for event in day if event.delta >= 5)
    features["minutes_since_last_pickup", "168h"] = _minutes_since(pickups, as_of)
    features["minutes_since_last_dropoff", "168h"] = _minutes_since(dropoffs, as_of)
    features["pickup_lag", "24h"] = len(_inside(pickups, as_of - DAY, HOUR))
    features["pickup_lag", "168h"] = len(_inside(pickups, as_of - 7 * DAY, HOUR))
    features["hour_of_week_baseline", "4w"] = usual
    features["demand_z", "1h"] = (len(_inside(pickups, as_of, HOUR)) - usual) / math.sqrt(usual + 1)
    features["city_share", "24h"] = len(day_pickups) / city_pickups if city_pickups else None
    features["pickup_total", "all_time"] = len(pickups)
    features["is_peak_station", "all_time"] = _is_peak(pickups, [_pickups(one) for one in city])
    return features


def _inside(events, end, length):
    return [event for event in events if end - length < event.ts <= end]


def _pickups(events):
    return [event for event in events if event.kind == "pickup"]


def _bikes(events):
    return sum(event.delta for event in events)


def _minutes_since(events, as_of):
    recent = _inside(events, as_of, 7 * DAY)
    return (as_of - max(event.ts for event in recent)) / MINUTE if recent else None


def _is_peak(pickups, city):
    busy = [len(one) for one in city if one]
    busier = sum(1 for count in busy if count > len(pickups))
    return len(pickups) >= 10 and busier < len(busy) / 10


def expected_daily_counts(events, through):
    """{(city_id, station_id, kind, event_date, first_ingest_date): (events, bikes)}."""
    counts = {}
    for event in unique(events, datetime.max.replace(tzinfo=UTC)):
        ingested = event.ingest_ts.date()
        if ingested <= through:
            key = (event.city_id, event.station_id, event.kind, event.event_date, ingested)
            so_far = counts.get(key, (0, 0))
            counts[key] = (so_far[0] + 1, so_far[1] + event.delta)
    return counts


# --- scenarios ------------------------------------------------------------------------------------------------------

EDGES = [0 * DAY, 30 * MINUTE, HOUR, 2 * HOUR, DAY, DAY + HOUR, 7 * DAY, 7 * DAY + HOUR, 28 * DAY]
EDGES += [14 * DAY, 14 * DAY + HOUR, 21 * DAY + HOUR, 28 * DAY + HOUR]


def scenario(seed):
    """Late events, events on the edges of windows, repeated deliveries that differ, several cities, closed days."""
    rng = random.Random(seed)
    as_of = _moment(rng)
    cities = rng.choice([1, 1, 3])
    stations = [
        (f"c{rng.randrange(cities)}", f"s{rng.randrange(20)}") for _ in range(rng.choice([1, 4, 12, 40]))
    ]
    favourite = rng.choice(stations)
    events = []
    for n in range(rng.choice([0, 3, 60, 200, 500])):
        city, station = favourite if rng.random() < 0.1 else rng.choice(stations)
        ts = as_of - _age(rng)
        event = Event(
            event_id=f"e-{n if rng.random() < 0.9 else rng.randrange(5)}",
            city_id=city,
            station_id=station,
            ts=ts,
            kind=rng.choice(["pickup", "pickup", "dropoff"]),
            delta=rng.choice([1, 1, 1, 2, 4, 5, 17]),
            ingest_ts=ts + _delay(rng),
            message_id=f"m-{n}",
        )
        events.append(event)
        if rng.random() < 0.3:
            events.append(_repeated(rng, event, n))
    known_at = _known_at(rng, as_of, events)
    events = [_near(rng, event, known_at) if rng.random() < 0.1 else event for event in events]
    rng.shuffle(events)
    back = [rng.choice([-40, -10, -2, -1, 0, 1]) for _ in range(rng.choice([0, 1, 3]))]
    return Scenario(events, as_of, known_at, sorted(known_at.date() + days * DAY for days in back))


def _moment(rng):
    midnight = datetime(2025, 11, 16, tzinfo=UTC) + rng.randrange(200) * DAY
    return midnight + rng.choice([0 * DAY, TICK, DAY - TICK, rng.randrange(86_400_000_000) * TICK])


def _age(rng):
    draw = rng.random()
    if draw < 0.3:
        return rng.choice(EDGES) + rng.choice([-TICK, 0 * DAY, TICK])
    if draw < 0.4:
        return rng.randrange(1, 5) * 7 * DAY + rng.random() * HOUR
    return rng.choice([2 * HOUR, DAY, 8 * DAY, 32 * DAY, 200 * DAY]) * (rng.random() * 1.05 - 0.05)


def _delay(rng):
    return rng.choice([MINUTE, MINUTE, 2 * HOUR, 3 * DAY, 60 * DAY]) * rng.random()


def _known_at(rng, as_of, events):
    some = rng.choice(events).ingest_ts if events else as_of
    at = rng.choice([as_of, as_of + MINUTE, as_of + 30 * DAY * rng.random(), some, some - TICK])
    return rng.choice([at, at, at.replace(hour=0, minute=0, second=0, microsecond=0)])


def _near(rng, event, known_at):
    """The same, ingested within some hours of known_at: on the same day mostly, before or after."""
    return replace(event, ingest_ts=max(event.ts, known_at + (rng.random() - 0.5) * DAY))


def _repeated(rng, event, n):
    """Another delivery; half of them tell something else, as sensors that reuse their numbers do."""
    gap = rng.choice([0 * DAY, MINUTE, DAY, 20 * DAY]) * rng.choice([-1, 1, 1])
    again = replace(
        event,
        ingest_ts=max(event.ingest_ts + gap, event.ts),
        message_id=rng.choice([f"m-{n}-again", f"l-{n}", None]),
    )
    if rng.random() < 0.5:
        return again
    midnight = event.ts.replace(hour=0, minute=0, second=0, microsecond=0)
    return replace(
        again,
        kind=rng.choice(["pickup", "dropoff"]),
        delta=rng.randrange(1, 9),
        city_id=f"c{rng.randrange(3)}",
        ts=rng.choice([event.ts, midnight + rng.randrange(86_400_000_000) * TICK]),
    )
