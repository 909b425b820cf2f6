"""The stations of the simulated city: drawn once from a seed, then fixed."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

_CENTRE: Final = (48.8566, 2.3522)
_OFFICES: Final = (
    (48.8706, 2.3316),
    (48.8919, 2.2380),
    (48.8386, 2.3786),
    (48.8420, 2.3210),
    (48.8698, 2.3078),
)
_KM_PER_LAT: Final = 111.2
_KM_PER_LON: Final = 73.2  # at the latitude of Paris
# fmt: off
_STREETS: Final = (
    "Abbesses", "Alésia", "Bastille", "Beaubourg", "Belleville", "Bercy", "Bir-Hakeim", "Cambronne",
    "Champeaux", "Charonne", "Châtelet", "Clichy", "Convention", "Crimée", "Daumesnil", "Denfert", "Dupleix",
    "Gambetta", "Gare de l'Est", "Gobelins", "Grenelle", "Hôtel de Ville", "Jaurès", "Jourdain", "Lafayette",
    "Lecourbe", "Ménilmontant", "Monge", "Nation", "Oberkampf", "Odéon", "Parmentier", "Père Lachaise",
    "Pyrénées", "Quai", "République", "Rivoli", "Saint-Maur", "Sébastopol", "Stalingrad", "Tolbiac",
    "Vaugirard", "Wagram", "Église",
)
# fmt: on

# Shares in the captures of 2022-02-25 and 2025-10-18.
_LONG_ID_SHARE: Final = 0.14
_LOCKED_SHARE: Final = 0.014
_UNINSTALLED_SHARE: Final = 0.007
_ZERO_CAPACITY_SHARE: Final = 0.010
_CREDIT_CARD_SHARE: Final = 0.58
_UNUSABLE_DOCKS: Final = {0: 46, 1: 30, 2: 14, 3: 6, 4: 2.5, 5: 1, -1: 0.5}

MAX_STATIONS: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A station as built.

    Attributes:
        id: operator's number; above 2**31-1 for about one in seven.
        code: the number printed on it.
        capacity: docks as declared; 0 if the operator has not declared it.
        docks: docks that work; may be more or fewer than `capacity`.
        home: 1 among homes, -1 among offices.
        popularity: relative number of rides.
        credit_card: whether it has a card terminal.
        installed: whether it exists at all.
        in_service: false for stations that are listed, but empty and closed for good.
        silent_since: last report of a station that has stopped reporting.
    """

    id: int
    code: str
    name: str
    lat: float
    lon: float
    capacity: int
    docks: int
    home: float
    popularity: float
    credit_card: bool
    installed: bool
    in_service: bool
    silent_since: datetime | None

    def km_to(self, other: "Station") -> float:
        return _km((self.lat, self.lon), (other.lat, other.lon))


def build_stations(count: int, rng: Random, built_at: datetime) -> tuple[Station, ...]:
    """Draws the stations; those out of service reported last before `built_at`."""
    if not 1 <= count <= MAX_STATIONS:
        raise ValueError(f"stations is {count}: it must be between 1 and {MAX_STATIONS}")
    ids = _ids(count, rng)
    serials: Counter[int] = Counter()
    order = rng.sample(range(count), count)
    locked, uninstalled, relays = _split(
        order, count, _LOCKED_SHARE, _UNINSTALLED_SHARE, _ZERO_CAPACITY_SHARE / 2
    )
    undeclared = set(sorted(locked)[: len(relays)]) | relays
    stations = []
    for index in range(count):
        lat, lon = _place(rng)
        district = rng.randint(1, 20) if _km((lat, lon), _CENTRE) < 5.0 else rng.randint(21, 48)
        serials[district] += 1
        size = round(min(68.0, max(12.0, rng.gauss(31.5, 11.0))))
        unusable = rng.choices(tuple(_UNUSABLE_DOCKS), tuple(_UNUSABLE_DOCKS.values()))[0]
        first, second = rng.sample(_STREETS, 2)
        silence = timedelta(seconds=rng.randint(86_400, 86_400 * 900))
        is_silent = index in uninstalled or (index in locked and rng.random() < 0.5)
        in_service = index not in locked and index not in uninstalled
        stations.append(
            Station(
                id=ids[index],
                code=f"{district}{serials[district]:03d}" + ("_relais" if index in relays else ""),
                name=f"{first} - {second}",
                lat=lat,
                lon=lon,
                capacity=0 if index in undeclared else size,
                docks=size - unusable,
                home=_home((lat, lon), rng),
                popularity=rng.lognormvariate(0.0, 0.6),
                credit_card=rng.random() < _CREDIT_CARD_SHARE,
                installed=index not in uninstalled,
                in_service=in_service,
                silent_since=built_at - silence if is_silent else None,
            )
        )
    return tuple(stations)


def _ids(count: int, rng: Random) -> list[int]:
    long_count = round(count * _LONG_ID_SHARE)
    ids = rng.sample(range(14_600_000_000, 20_710_000_000), long_count)
    ids += rng.sample(range(6_245, 1_300_000_000), count - long_count)
    rng.shuffle(ids)
    return ids


def _split(order: list[int], count: int, *shares: float) -> list[set[int]]:
    parts, taken = [], 0
    for share in shares:
        size = round(count * share)
        parts.append(set(order[taken : taken + size]))
        taken += size
    return parts


def _place(rng: Random) -> tuple[float, float]:
    lat = min(48.94, max(48.77, rng.gauss(_CENTRE[0], 0.030)))
    lon = min(2.54, max(2.16, rng.gauss(_CENTRE[1] - 0.008, 0.055)))
    return round(lat, 12), round(lon, 12)


def _home(place: tuple[float, float], rng: Random) -> float:
    distance_km = min(_km(place, office) for office in _OFFICES)
    return max(-1.0, min(1.0, math.tanh(distance_km - 2.0) + rng.gauss(0.0, 0.25)))


def _km(a: tuple[float, float], b: tuple[float, float]) -> float:
    return math.hypot((a[0] - b[0]) * _KM_PER_LAT, (a[1] - b[1]) * _KM_PER_LON)
