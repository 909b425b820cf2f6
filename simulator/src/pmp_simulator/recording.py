"""Recorded feeds: a folder of captures, or a series replayed at its own pace or faster."""

import gzip
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec

from pmp_simulator.clock import SimulatedClock
from pmp_simulator.source import Feed

_STATION_FEEDS: Final = ("station_status", "station_information")
_OTHER_FEEDS: Final = (
    "system_information",
    "system_regions",
    "vehicle_types",
    "free_bike_status",
    "vehicle_status",
)
_SERIES_SUFFIXES: Final = (".jsonl", ".jsonl.gz")


class RecordingError(Exception):
    """The recording cannot be served; the message is one sentence for a person."""


class _Line(msgspec.Struct):
    captured: datetime
    doc: msgspec.Raw  # the document's own bytes, neither decoded nor rewritten


class FolderRecording:
    """Captured files, served byte for byte. gbfs.json is generated, because a captured one lists other hosts."""

    def __init__(self, feeds: dict[str, Feed]) -> None:
        self._feeds = feeds

    def names(self) -> tuple[str, ...]:
        return ("gbfs", *self._feeds)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def feed(self, name: str, base_url: str) -> Feed:
        if name == "gbfs":
            changed_at = max(feed.changed_at for feed in self._feeds.values())
            return Feed(_discovery(base_url, tuple(self._feeds), changed_at), changed_at)
        return self._feeds[name]

    def truth(self, since: datetime | None, until: datetime | None) -> None:  # noqa: ARG002 - a recording has none
        return None


class SeriesRecording:
    """A series of one feed, from its first capture on; it stays at the last one.

    The file is read as time passes: two documents are in memory, the current and the next one.
    """

    def __init__(self, name: str, lines: Iterator[_Line], first: _Line, clock: SimulatedClock) -> None:
        self._name = name
        self._lines = lines
        self._present = first
        self._next = next(lines, None)
        self._clock = clock
        self._lock = Lock()

    def names(self) -> tuple[str, ...]:
        return ("gbfs", self._name)

    def now(self) -> datetime:
        return self._clock.now()

    def feed(self, name: str, base_url: str) -> Feed:
        """See `FeedSource`.

        Raises:
            RecordingError: a later line of the series is damaged.
        """
        if name == "gbfs":
            start = self._clock.start
            return Feed(_discovery(base_url, (self._name,), start), start)
        if name != self._name:
            raise KeyError(name)
        with self._lock:
            now = self._clock.now()
            while self._next is not None and self._next.captured <= now:
                self._present, self._next = self._next, next(self._lines, None)
            return Feed(bytes(self._present.doc), self._present.captured)

    def truth(self, since: datetime | None, until: datetime | None) -> None:  # noqa: ARG002 - a recording has none
        return None


def open_recording(path: Path, *, speed: float = 1.0) -> FolderRecording | SeriesRecording:
    """The recording at a path: a folder of `<feed>.json` captures, or a .jsonl[.gz] series.

    Each line of a series is `{"captured": <RFC 3339>, "doc": <body>}`, in order. The feed is station_status unless
    the file name starts with `station_information`.

    Raises:
        RecordingError: the recording cannot be served.
    """
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise RecordingError(f"{path} is neither a folder nor a file")
    if not path.name.endswith(_SERIES_SUFFIXES):
        raise RecordingError(f"{path} is neither a folder of captures nor a .jsonl or .jsonl.gz series")
    lines = _read_series(path)
    first = next(lines, None)
    if first is None:
        raise RecordingError(f"{path} is empty")
    name = _STATION_FEEDS[path.name.startswith("station_information")]
    return SeriesRecording(name, lines, first, SimulatedClock(first.captured, speed))


def _open_folder(folder: Path) -> FolderRecording:
    paths = {name: folder / f"{name}.json" for name in (*_STATION_FEEDS, *_OTHER_FEEDS)}
    feeds = {
        name: Feed(path.read_bytes(), datetime.fromtimestamp(int(path.stat().st_mtime), UTC))
        for name, path in paths.items()
        if path.is_file()
    }
    if not feeds.keys() & set(_STATION_FEEDS):
        raise RecordingError(f"{folder} holds neither station_status.json nor station_information.json")
    return FolderRecording(feeds)


def _read_series(path: Path) -> Iterator[_Line]:
    decoder = msgspec.json.Decoder(_Line)
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, text in enumerate(file, start=1):  # noqa: B007 - for the message below
                line = decoder.decode(text)
                if line.captured.tzinfo is None:
                    line.captured = line.captured.replace(tzinfo=UTC)
                yield line
    except (msgspec.DecodeError, EOFError, OSError, zlib.error) as error:
        raise RecordingError(f"{path} cannot be read at line {number or 1}: {error}") from error


def _discovery(base_url: str, names: tuple[str, ...], at: datetime) -> bytes:
    feeds = [{"name": name, "url": f"{base_url}/{name}.json"} for name in ("gbfs", *names)]
    data = {"en": {"feeds": feeds}}
    return msgspec.json.encode(
        {"last_updated": int(at.timestamp()), "ttl": 60, "version": "2.3", "data": data}
    )
