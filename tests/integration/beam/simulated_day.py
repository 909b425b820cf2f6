"""The simulated city under curation, judged by its own truth: no HTTP, no broker, no clock."""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pmp_curation.core import Snapshot
from pmp_schema import gbfs
from pmp_schema.errors import PoisonMessage
from pmp_simulator import velib
from pmp_simulator.anomalies import Anomalies, Kind, apply
from pmp_simulator.city import City
from pmp_simulator.heartbeat import Heartbeat
from pmp_simulator.moves import Move
from tests.unit.curation.core.system import System, snapshot

DAY_STARTS_AT = datetime(2026, 3, 10, 6, tzinfo=UTC)  # seven in Paris
POLL = timedelta(seconds=60)
REDELIVERED_SHARE = 0.05


@dataclass
class SimulatedDay:
    """Attributes:
    system: the curation, with all that came out.
    moves: the truth.
    blips, redelivered: how often the feed was empty, and how many snapshots came again.
    """

    seed: int
    stations: int = 1400
    anomalies_per_hour: float = 6.0
    system: System = field(default_factory=System)
    moves: list[Move] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    blips: int = 0
    redelivered: int = 0

    def run(self, duration: timedelta) -> None:
        chance = random.Random(self.seed)
        for taken in self._polls(duration):
            self.snapshots.append(taken)
            self.system.take(taken)
            if chance.random() < REDELIVERED_SHARE:
                self.redelivered += 1
                self.system.take(chance.choice(self.snapshots[-60:]))

    def _polls(self, duration: timedelta) -> Iterator[Snapshot]:
        """What a collector would publish: fresh bodies that can be read."""
        city = City(seed=self.seed, start_at=DAY_STARTS_AT, stations=self.stations)
        heartbeat = Heartbeat(seed=self.seed, start_at=DAY_STARTS_AT, stations=self.stations)
        anomalies = Anomalies(rate_per_hour=self.anomalies_per_hour, seed=self.seed)
        body = velib.station_status(city, heartbeat)
        for minute in range(1, duration // POLL + 1):
            self.moves += city.advance_to(DAY_STARTS_AT + minute * POLL)
            kind = anomalies.take("station_status", city.now)
            if kind is not Kind.FROZEN:
                body = velib.station_status(city, heartbeat)
            answer = apply(kind, body)
            self.blips += kind is Kind.EMPTY
            if answer.status != 200:
                continue
            try:
                gbfs.decode(answer.body)
            except PoisonMessage:
                continue
            yield snapshot(answer.body)

    @property
    def accepted(self) -> list[datetime]:
        return [row["feed_ts"] for row in self.system.polls if row["verdict"] in {"ok", "unchanged"}]

    def true_net_changes(self) -> dict[tuple[str, datetime], int]:
        """Bikes gained, by station and accepted poll, since the poll accepted before."""
        polls = self.accepted
        net: defaultdict[tuple[str, datetime], int] = defaultdict(int)
        place = 0
        for move in self.moves:
            while place < len(polls) and polls[place] < move.at:
                place += 1
            if 0 < place < len(polls):
                net[move.station_id, polls[place]] += move.delta if move.kind == "dropoff" else -move.delta
        return {key: gained for key, gained in net.items() if gained}

    def derived_net_changes(self) -> dict[tuple[str, datetime], int]:
        found = {}
        for event in self.system.events:
            key = event["station_id"], datetime.fromisoformat(event["ts_iso"])
            assert key not in found
            found[key] = event["delta"] if event["kind"] == "dropoff" else -event["delta"]
        return found

    def recall(self, kind: str) -> float:
        """Bikes in the derived events of a kind per bike that truly moved between the first and last poll."""
        polls = self.accepted
        derived = sum(event["delta"] for event in self.system.events if event["kind"] == kind)
        return derived / sum(
            move.delta for move in self.moves if move.kind == kind and polls[0] < move.at <= polls[-1]
        )

    def report(self) -> str:
        observations = sum(row["stations"] for row in self.system.polls)
        verdicts = {
            verdict: self.system.verdicts.count(verdict) for verdict in sorted(set(self.system.verdicts))
        }
        return (
            f"{len(self.moves)} true moves, {len(self.system.events)} derived events; recall in bikes: "
            f"{self.recall('pickup'):.1%} of pickups, {self.recall('dropoff'):.1%} of dropoffs; "
            f"{len(self.system.rows) / observations:.1%} of {observations} observations have a row; "
            f"verdicts {verdicts}; {self.redelivered} redelivered, {self.blips} blips"
        )
