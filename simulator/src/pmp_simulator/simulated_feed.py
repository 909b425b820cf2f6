"""The simulated city as a source of feeds."""

from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Lock

from pmp_simulator import velib
from pmp_simulator.city import City
from pmp_simulator.clock import SimulatedClock, floor_minute
from pmp_simulator.heartbeat import Heartbeat
from pmp_simulator.moves import TruthLog
from pmp_simulator.source import Feed


class SimulatedFeed:
    """A city in Vélib's dialect, whose feeds change at each full minute of simulated time."""

    def __init__(self, city: City, heartbeat: Heartbeat, clock: SimulatedClock) -> None:
        self._city = city
        self._heartbeat = heartbeat
        self._clock = clock
        self._truth = TruthLog()
        self._rendered: dict[str, Feed] = {}
        self._lock = Lock()

    def names(self) -> tuple[str, ...]:
        return velib.FEEDS

    def now(self) -> datetime:
        return self._clock.now()

    def feed(self, name: str, base_url: str) -> Feed:
        with self._lock:
            self._advance()
            at = self._city.now
            if name == "gbfs":
                return Feed(velib.discovery(base_url, at), at)
            if name not in self._rendered:
                self._rendered[name] = Feed(self._render(name), at)
            return self._rendered[name]

    def truth(self, since: datetime | None, until: datetime | None) -> Iterator[bytes] | None:
        with self._lock:
            self._advance()
        return self._truth.lines(since, until)

    def _advance(self) -> None:
        minute = floor_minute(self._clock.now())
        if minute > self._city.now:
            self._truth.append(self._city.advance_to(minute))
            self._rendered.clear()

    def _render(self, name: str) -> bytes:
        renderers: dict[str, Callable[[], bytes]] = {
            "system_information": lambda: velib.system_information(self._city.now),
            "station_information": lambda: velib.station_information(self._city),
            "station_status": lambda: velib.station_status(self._city, self._heartbeat),
        }
        return renderers[name]()


def simulated(*, seed: int, start_at: datetime, speed: float = 1.0, stations: int = 1400) -> SimulatedFeed:
    """A city that starts at `start_at`, rounded down to the minute, and runs at `speed` times real time."""
    start = floor_minute(start_at)
    return SimulatedFeed(
        City(seed=seed, start_at=start, stations=stations),
        Heartbeat(seed=seed, start_at=start, stations=stations),
        SimulatedClock(start_at, speed),
    )
