"""A city of shared bikes: riders with daily habits, and vans that rebalance. Seeded and exact.

All events are drawn in order from one generator, so the step size of `advance_to` does not change the result.
"""

import heapq
from bisect import bisect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import accumulate
from math import exp
from typing import Final, Literal

from pmp_simulator import demand
from pmp_simulator.chance import seeded
from pmp_simulator.moves import Cause, Move
from pmp_simulator.stations import build_stations
from pmp_simulator.timeline import DAY_US, MINUTE_US, Timeline

# A fleet and sizes that give the measured shares of |delta| = 1 (69-85 %) and >= 5 (1.4-2.2 %) of changes.
_PARTY_SIZES: Final = {1: 80, 2: 14, 3: 4.5, 4: 1.5}
_VAN_TOURS_PER_RIDE: Final = 0.018
_VAN_MIN_BIKES: Final = 5
_VAN_MAX_BIKES: Final = 20
_VAN_CHOICES: Final = 12
_CLOSURES_PER_STATION_DAY: Final = 0.004
_FILL_MEAN: Final = 0.40
_FILL_SPREAD: Final = 0.24
_FILL_COMMUTE: Final = 0.07
_MECHANICAL_SHARE: Final = 0.61
_WANTS_EBIKE: Final = 0.42
_COMMUTE_STRENGTH: Final = 0.9
_NEIGHBOURS: Final = 4

_RIDES_PER_STATION_DAY: Final = 14.4  # 2 % of the stations change per minute, on the mean of a workday

Load = tuple[int, int]  # mechanical bikes, ebikes


class City:
    """The state of every station, and the number of bikes in transit, at one instant.

    The bikes at stations plus `in_transit` are always `fleet`. Vans follow the demand, so their share of the changes is
    the same at every hour.

    Attributes:
        stations: as built; every list below has the same order.
        mechanical: mechanical bikes at each station.
        ebikes: ebikes at each station.
        closed: whether each station is closed at present.
        in_transit: bikes with riders and in vans.
    """

    def __init__(self, *, seed: int, start_at: datetime, stations: int = 1400) -> None:
        self._rng = seeded("city", seed)
        self._timeline = Timeline(start_at)
        self.stations = build_stations(stations, self._rng, start_at.astimezone(UTC))
        self.mechanical = [0] * stations
        self.ebikes = [0] * stations
        self.closed = [not station.in_service for station in self.stations]
        self.in_transit = 0
        self._fill()
        self.fleet = sum(self.mechanical) + sum(self.ebikes)
        self._weights: dict[float, list[float]] = {}
        self._neighbours: dict[int, list[int]] = {}
        self._moves: list[Move] = []
        peak_rides_per_day = _RIDES_PER_STATION_DAY * stations * demand.PEAK_INTENSITY
        self._repeat(peak_rides_per_day, self._ride)
        self._repeat(peak_rides_per_day * _VAN_TOURS_PER_RIDE, self._van_tour)
        self._repeat(stations * _CLOSURES_PER_STATION_DAY * demand.PEAK_INTENSITY, self._close)

    def advance_to(self, at: datetime) -> list[Move]:
        """Simulates until `at`, inclusive.

        Returns:
            The moves since the last call, in order of time.

        Raises:
            ValueError: `at` is before `now`.
        """
        self._moves = []
        self._timeline.run_until(at)
        return self._moves

    @property
    def now(self) -> datetime:
        """Simulated time of the state, aware UTC."""
        return self._timeline.now

    def free_docks(self, index: int) -> int:
        return max(0, self.stations[index].docks - self.bikes(index))

    def bikes(self, index: int) -> int:
        return self.mechanical[index] + self.ebikes[index]

    def _fill(self) -> None:
        """Places bikes as usual for the hour: mostly at homes by night and at offices by day."""
        commute = _FILL_COMMUTE * demand.bikes_at_home(self.now)
        for index, station in enumerate(self.stations):
            share = min(1.0, max(0.0, self._rng.gauss(_FILL_MEAN + commute * station.home, _FILL_SPREAD)))
            bikes = round(share * station.docks) if station.in_service else 0
            self.mechanical[index] = sum(self._rng.random() < _MECHANICAL_SHARE for _ in range(bikes))
            self.ebikes[index] = bikes - self.mechanical[index]

    def _repeat(self, peak_per_day: float, happen: Callable[[], None]) -> None:
        """Poisson thinning: candidates come at the peak's rate, and the hour decides how many happen."""
        if peak_per_day > 0:
            gap_us = round(self._rng.expovariate(peak_per_day) * DAY_US)
            self._timeline.schedule(gap_us, self._candidate, peak_per_day, happen)

    def _candidate(self, peak_per_day: float, happen: Callable[[], None]) -> None:
        if self._rng.random() * demand.PEAK_INTENSITY < demand.intensity(self.now):
            happen()
        self._repeat(peak_per_day, happen)

    def _ride(self) -> None:
        tide = demand.tide(self.now)
        wanted = self._draw(tide)
        party = self._rng.choices(tuple(_PARTY_SIZES), tuple(_PARTY_SIZES.values()))[0]
        stocked = (i for i in self._near(wanted) if not self.closed[i] and self.bikes(i) >= party)
        origin = next(stocked, None)
        if origin is None:
            return
        load = self._choose_bikes(origin, party)
        # People ride a few kilometres: of two places they might go to, the nearer.
        target = min(self._draw(-tide), self._draw(-tide), key=lambda i: self._km(origin, i))
        self._depart(origin, load, "rider")
        self._timeline.schedule(self._ride_us(origin, target, load), self._arrive, target, load)

    def _choose_bikes(self, origin: int, party: int) -> Load:
        ebikes = sum(self._rng.random() < _WANTS_EBIKE for _ in range(party))
        ebikes = min(self.ebikes[origin], max(ebikes, party - self.mechanical[origin]))
        return party - ebikes, ebikes

    def _ride_us(self, origin: int, target: int, load: Load) -> int:
        km_per_h = 11.0 if load[0] else 15.0
        minutes = 4.0 + 1.3 * self._km(origin, target) / km_per_h * 60.0
        return round(minutes * self._rng.lognormvariate(0.0, 0.25) * MINUTE_US)

    def _arrive(self, target: int, load: Load) -> None:
        if not self.closed[target] and self.free_docks(target) >= sum(load):
            self._return(target, load, "rider")
            return
        roomy = (i for i in self._near(target) if not self.closed[i] and self.free_docks(i) >= sum(load))
        detour = next(roomy, None)
        detour = self._draw(0.0) if detour is None else detour
        self._timeline.schedule(self._rng.randint(2, 5) * MINUTE_US, self._arrive, detour, load)

    def _van_tour(self) -> None:
        source = max(self._open_sample(), key=lambda i: self.bikes(i) / self.stations[i].docks, default=None)
        if source is None or self.bikes(source) < _VAN_MIN_BIKES + 3:
            return
        size = min(_VAN_MIN_BIKES + int(self._rng.expovariate(0.2)), _VAN_MAX_BIKES, self.bikes(source) - 3)
        mechanical = min(
            self.mechanical[source], max(size - self.ebikes[source], round(size * _MECHANICAL_SHARE))
        )
        load = (mechanical, size - mechanical)
        self._depart(source, load, "van")
        self._timeline.schedule(self._rng.randint(10, 40) * MINUTE_US, self._unload, load)

    def _unload(self, load: Load) -> None:
        roomy = [i for i in self._open_sample() if self.free_docks(i) >= sum(load)]
        if not roomy:
            self._timeline.schedule(10 * MINUTE_US, self._unload, load)
            return
        self._return(min(roomy, key=lambda i: self.bikes(i) / self.stations[i].docks), load, "van")

    def _close(self) -> None:
        for index in self._open_sample()[:1]:
            self.closed[index] = True
            self._timeline.schedule(self._rng.randint(30, 360) * MINUTE_US, self._open, index)

    def _open(self, index: int) -> None:
        self.closed[index] = False

    def _depart(self, index: int, load: Load, cause: Cause) -> None:
        self._shift(index, load, -1)
        self._record(index, load, "pickup", cause)

    def _return(self, index: int, load: Load, cause: Cause) -> None:
        self._shift(index, load, 1)
        self._record(index, load, "dropoff", cause)

    def _shift(self, index: int, load: Load, sign: int) -> None:
        self.mechanical[index] += sign * load[0]
        self.ebikes[index] += sign * load[1]
        self.in_transit -= sign * sum(load)

    def _record(self, index: int, load: Load, kind: Literal["pickup", "dropoff"], cause: Cause) -> None:
        at, station_id = self.now, str(self.stations[index].id)
        if load[0]:
            self._moves.append(Move(at, station_id, kind, load[0], cause, "mechanical"))
        if load[1]:
            self._moves.append(Move(at, station_id, kind, load[1], cause, "ebike"))

    def _draw(self, tide: float) -> int:
        """A station, by popularity and by the commute: `tide` 1 draws homes, -1 offices."""
        if tide not in self._weights:
            pull = _COMMUTE_STRENGTH * tide
            weights = (s.popularity * exp(pull * s.home) for s in self.stations)
            self._weights[tide] = list(accumulate(weights))
        totals = self._weights[tide]
        return min(bisect(totals, self._rng.random() * totals[-1]), len(totals) - 1)

    def _open_sample(self) -> list[int]:
        size = len(self.stations)
        return [i for i in self._rng.sample(range(size), min(size, _VAN_CHOICES)) if not self.closed[i]]

    def _near(self, index: int) -> Iterator[int]:
        """The station, then its nearest neighbours, nearest first; computed on demand."""
        yield index
        if index not in self._neighbours:
            others = (i for i in range(len(self.stations)) if i != index)
            self._neighbours[index] = heapq.nsmallest(_NEIGHBOURS, others, key=lambda i: self._km(index, i))
        yield from self._neighbours[index]

    def _km(self, a: int, b: int) -> float:
        return self.stations[a].km_to(self.stations[b])
