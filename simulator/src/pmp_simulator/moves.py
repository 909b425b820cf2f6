"""The truth: every bike that left or reached a station."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import IO, Literal

BikeType = Literal["mechanical", "ebike"]
Cause = Literal["rider", "van"]


@dataclass(frozen=True, slots=True)
class Move:
    """Bikes of one type that left (`pickup`) or reached (`dropoff`) a station at one instant.

    Attributes:
        at: aware UTC, exact to the microsecond.
        delta: number of bikes, above zero.
    """

    at: datetime
    station_id: str
    kind: Literal["pickup", "dropoff"]
    delta: int
    cause: Cause
    bike_type: BikeType


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, always with six fractional digits, so that texts sort like times."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def line(move: Move) -> bytes:
    """A move as one line of JSON, its time first."""
    return json.dumps(asdict(move) | {"at": timestamp(move.at)}, separators=(",", ":")).encode() + b"\n"


class TruthLog:
    """Moves in order of time, in an unnamed temporary file: days of moves need too much memory.

    The file is opened at the first append, so that a forked server process writes its own.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._size_bytes = 0
        self._lock = Lock()

    def append(self, moves: Iterable[Move]) -> None:
        data = b"".join(map(line, moves))
        if not data:
            return
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the log
            self._file.seek(self._size_bytes)
            self._file.write(data)
            self._size_bytes += len(data)

    def lines(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[bytes]:
        """The lines with `since < at <= until` that exist when the reading starts."""
        after = timestamp(since).encode() if since else b""
        last = timestamp(until).encode() if until else b"~"
        start = len(b'{"at":"')
        for text in self._stored():
            at = text[start : start + 27]
            if at > last:
                return
            if at > after:
                yield text

    def _stored(self) -> Iterator[bytes]:
        end, position, rest = self._size_bytes, 0, b""
        while position < end:
            chunk = self._read(position, min(1 << 16, end - position))
            position += len(chunk)
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (text + b"\n" for text in whole)

    def _read(self, position: int, size_bytes: int) -> bytes:
        with self._lock:
            if self._file is None:
                return b""
            self._file.seek(position)
            return self._file.read(size_bytes)
