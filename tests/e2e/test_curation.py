"""The curation's process is killed in mid-stream, again and again: nothing is lost, nothing is double."""

import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pmp_curation.core import curate
from pmp_curation.curator import to_snapshot
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_schema.errors import PoisonMessage
from pmp_schema.message import Message
from pmp_schema.snapshots import receive_snapshot
from pmp_schema.topology import TOPOLOGY
from tests.e2e.conftest import Stack
from tests.fakes.curation_history import message
from tests.fakes.pipeline_process import PipelineProcess, pipeline_process
from tests.fakes.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SNAPSHOTS = TOPOLOGY.topics["snapshots"]
POLLS = 80
STATIONS = 220
KILLS = 5
PACE_S = 0.4


def series(system: str, chance: random.Random) -> Iterator[Message]:
    """Minutes of a city, longer than a heartbeat, with what real feeds do now and then."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=POLLS)
    bikes = {f"{system}-{number}": chance.randrange(20) for number in range(STATIONS)}
    for minute in range(POLLS):
        for station in chance.sample([*bikes], 12):
            bikes[station] = max(0, bikes[station] + chance.choice((-2, -1, 1, 1)))
        stations: Any = [
            {"station_id": name, "num_bikes_available": count, "num_docks_available": 30 - count}
            for name, count in bikes.items()
        ]
        if minute % 20 == 7:
            stations.append({"station_id": None})
        if minute % 20 == 13:
            stations = []
        if minute % 40 == 33:
            stations = "no list"
        yield message(stations, start + timedelta(minutes=minute), system=system)


class Undisturbed:
    """What one process makes of a series that it gets in order."""

    def __init__(self, given: list[Message]) -> None:
        self.polls: set[Any] = set()
        self.rows: set[Any] = set()
        self.events: set[Any] = set()
        state = None
        for one in given:
            try:
                done = curate(state, to_snapshot(receive_snapshot(one, datetime.now(UTC)), datetime.now(UTC)))
            except PoisonMessage:
                continue
            state = done.state
            assert done.poll is not None
            self.polls.add((done.poll["event_id"], done.poll["verdict"], done.poll["changed"]))
            self.rows |= {
                (row["station_id"], row["feed_ts"], row["change"], row["bikes"]) for row in done.status_rows
            }
            self.events |= {
                (event["event_id"], event["station_id"], event["kind"], event["delta"])
                for event in done.rides
            }


class Curated:
    """What the tables have of a system."""

    def __init__(self, stack: Stack, system: str) -> None:
        self._stack = stack
        self._system = system

    def polls(self) -> list[tuple[Any, ...]]:
        return self._rows("event_id, verdict, changed", "pmp_curated.feed_polls")

    def unique_polls(self) -> list[tuple[Any, ...]]:
        return self._rows("event_id", "pmp_curated.feed_polls_unique")

    def unique_rows(self) -> list[tuple[Any, ...]]:
        return self._rows("station_id, feed_ts, change, bikes", "pmp_curated.station_status_unique")

    def unique_events(self) -> list[tuple[Any, ...]]:
        where = f"source = 'derived' AND STARTS_WITH(station_id, '{self._system}-')"
        return self._rows("event_id, station_id, kind, delta", "pmp_raw.raw_events_unique", where)

    def _rows(self, columns: str, table: str, where: str | None = None) -> list[tuple[Any, ...]]:
        where = where or f"system_id = '{self._system}'"
        return [
            tuple(row.values()) for row in self._stack.query(f"SELECT {columns} FROM {table} WHERE {where}")
        ]


def publish(stack: Stack, given: list[Message]) -> None:
    publisher = stack.publisher
    for number, one in enumerate(given):
        again = [given[number - 3]] if number % 9 == 8 else []  # the collector was not told that it arrived
        publisher.publish(SNAPSHOTS, [Outgoing(m.data, m.attributes) for m in (one, *again)])
        time.sleep(PACE_S)


def kill_again_and_again(process: PipelineProcess, chance: random.Random) -> None:
    """Each time while the rows and events of a snapshot are on their way: its line in the log comes before them."""

    def curated() -> int:
        return process.log.read_bytes().count(b"snapshot.curated")

    for count in sorted(chance.sample(range(5, POLLS - 10), KILLS)):
        eventually(lambda count=count: curated() >= count, timeout_s=100)  # type: ignore[misc]
        time.sleep(chance.uniform(0.0, 0.4))
        process.kill()
        process.start()


@pytest.mark.parametrize("seed", [1])
def test_a_curation_killed_in_mid_stream_ends_as_one_that_was_not(stack: Stack, tmp_path: Path, seed: int):
    chance = random.Random(seed)
    system = f"killed{seed}"
    given = list(series(system, chance))
    expected, curated = Undisturbed(given), Curated(stack, system)
    load = threading.Thread(target=publish, args=(stack, given))
    log = tmp_path / "curate_status.log"
    with pipeline_process(["curate_status", "--catch-up-s", "5"], stack.env, log) as process:
        load.start()
        kill_again_and_again(process, chance)
        load.join(120)
        assert not load.is_alive()
        eventually(
            lambda: {poll[0] for poll in curated.polls()} >= {poll[0] for poll in expected.polls},
            timeout_s=100,
        )
        eventually(lambda: len(curated.unique_events()) >= len(expected.events))
        process.stop()

    assert set(curated.polls()) == expected.polls
    accepted = [event_id for event_id, verdict, _ in expected.polls if verdict == "ok"]
    assert sorted(curated.unique_polls()) == sorted((event_id,) for event_id in accepted)
    rows = curated.unique_rows()
    assert len(rows) == len(set(rows))
    assert set(rows) == expected.rows
    events = curated.unique_events()
    assert len(events) == len(set(events))
    assert set(events) == expected.events
