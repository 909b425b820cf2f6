"""From the words of a command line to a source of feeds."""

from datetime import datetime
from pathlib import Path

from pmp_simulator.recording import open_recording
from pmp_simulator.simulated_feed import simulated
from pmp_simulator.source import FeedSource


def open_source(
    feed: str, *, seed: int, start_at: datetime, speed: float = 1.0, stations: int = 1400
) -> FeedSource:
    """The source that `--feed` names: `simulated`, or the path of a recording.

    Args:
        feed: `simulated`, a folder of captures, or a .jsonl[.gz] series.
        seed: of the simulated city.
        start_at: simulated time of the city at the start; a recording starts at its own.
        speed: simulated seconds per real second.
        stations: of the simulated city.

    Raises:
        RecordingError: the path holds nothing that can be served; one sentence.
    """
    if feed == "simulated":
        return simulated(seed=seed, start_at=start_at, speed=speed, stations=stations)
    return open_recording(Path(feed), speed=speed)
