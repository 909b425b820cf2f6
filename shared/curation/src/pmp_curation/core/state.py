"""The state of one system between two snapshots, and its encoding."""

import hashlib
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any, Final, Self

import msgspec

from pmp_curation.core.inputs import DEFAULT_RULES, Rules
from pmp_curation.core.readings import VALUE_NAMES, Values
from pmp_schema.timestamps import duration_micros, to_micros

VERSION: Final = 1
ACCEPTED: Final = frozenset({"ok", "unchanged"})
"""Verdicts of accepted snapshots."""


class StateVersionError(ValueError):
    """The state has an unknown version; rebuild it from the last curated rows."""


class Station(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A station as its last row of `station_status` has it.

    Attributes:
        known_bikes: the last known count.
        emitted_us: feed time of the row.
    """

    values: Values
    known_bikes: int | None
    emitted_us: int

    def followed_by(self, values: Values, emitted_us: int) -> "Station":
        known_bikes = self.known_bikes if values.bikes is None else values.bikes
        return Station(values, known_bikes, emitted_us)


class SystemState(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One system, after all snapshots so far. It is immutable; `curate` makes the next one.

    The encoding is a version byte and a MessagePack array. Fields may be appended with defaults; any other change
    needs a new version.

    Attributes:
        stations: all remembered stations by id.
        absent: the remembered stations that the last accepted snapshot did not list.
        accepted_us: feed time of the last accepted snapshot.
        is_suspect: the last snapshot was suspect.
        shrunk_since_us: feed time of the first of an unbroken series of non-empty suspect snapshots.
        events: fingerprints of the last snapshots, oldest first.
        reports: `Observed.reports` of the last accepted snapshot; None after a warm start.
    """

    system_id: str
    stations: dict[str, Station] = {}
    absent: frozenset[str] = frozenset()
    accepted_us: int | None = None
    is_suspect: bool = False
    shrunk_since_us: int | None = None
    events: tuple[int, ...] = ()
    reports: int | None = None

    def encode(self) -> bytes:
        return bytes((VERSION,)) + _encoder.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The inverse of `encode`.

        Raises:
            StateVersionError: the version is unknown.
        """
        if data[:1] != bytes((VERSION,)):
            raise StateVersionError(f"version {data[0] if data else None}, not {VERSION}")
        return msgspec.msgpack.decode(data[1:], type=cls)

    @classmethod
    def from_rows(
        cls,
        system_id: str,
        status_rows: Iterable[Mapping[str, Any]],
        polls: Iterable[Mapping[str, Any]],
        *,
        rules: Rules = DEFAULT_RULES,
    ) -> Self:
        """Rebuilds the state before a snapshot from curated rows with an earlier `feed_ts`.

        Args:
            status_rows: of `station_status`: the latest row of each station within `rules.forget_after` of the
                snapshot, and its latest one with known `bikes`. More rows, in any order, do no harm.
            polls: recent rows of `feed_polls`, and the last accepted one. With their ids the state recognises
                repeated snapshots; later suspect ones go on being counted.
        """
        stations = _latest(status_rows)
        recent = sorted(polls, key=lambda poll: (poll["feed_ts"], poll["verdict"] in ACCEPTED))
        accepted_us, is_suspect, shrunk_since_us = _acceptance(recent)
        # A station that was listed by the last accepted snapshot has a row within the heartbeat before it.
        due_us = None if accepted_us is None else accepted_us - duration_micros(rules.heartbeat)
        ids = dict.fromkeys(str(poll["event_id"]) for poll in recent)
        return cls(
            system_id=system_id,
            stations=stations,
            absent=frozenset(
                station_id
                for station_id, station in stations.items()
                if due_us is not None and station.emitted_us <= due_us
            ),
            accepted_us=accepted_us,
            is_suspect=is_suspect,
            shrunk_since_us=shrunk_since_us,
            events=tuple(map(_fingerprint, ids))[-rules.remembered_events :],
        )

    def has_seen(self, event_id: str) -> bool:
        return _fingerprint(event_id) in self.events

    def events_with(self, event_id: str, limit: int) -> tuple[int, ...]:
        return (*self.events, _fingerprint(event_id))[-limit:]


_encoder: Final = msgspec.msgpack.Encoder()


def _fingerprint(event_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest())


def _latest(rows: Iterable[Mapping[str, Any]]) -> dict[str, Station]:
    stations: dict[str, Station] = {}
    for row in sorted(rows, key=itemgetter("feed_ts")):
        values = Values(*(row[name] for name in VALUE_NAMES))
        before = stations.get(row["station_id"]) or Station(values, None, 0)
        stations[row["station_id"]] = before.followed_by(values, to_micros(row["feed_ts"]))
    return stations


def _acceptance(polls: Iterable[Mapping[str, Any]]) -> tuple[int | None, bool, int | None]:
    """`accepted_us`, `is_suspect` and `shrunk_since_us` after polls in order."""
    accepted_us, is_suspect, shrunk_since_us = None, False, None
    for poll in polls:
        if poll["verdict"] in ACCEPTED:
            accepted_us, is_suspect, shrunk_since_us = to_micros(poll["feed_ts"]), False, None
        elif poll["verdict"] == "suspect":
            is_suspect = True
            if not poll["stations"]:
                shrunk_since_us = None
            elif shrunk_since_us is None:
                shrunk_since_us = to_micros(poll["feed_ts"])
    return accepted_us, is_suspect, shrunk_since_us
