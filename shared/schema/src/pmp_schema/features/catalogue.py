"""The catalogue of features, read from features.toml and checked."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec

from pmp_schema.features.aggregations import AGGREGATIONS, Aggregation, Reach

Kind = Literal["pickup", "dropoff", "any"]

ALL_TIME: Final = "all_time"
ACTIVE: Final = timedelta(weeks=4)  # the silence after which a station has no rows
_SHORTEST: Final = timedelta(minutes=30)
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "w": timedelta(weeks=1)}
_WINDOW: Final = re.compile(r"([1-9]\d{0,5})([mhw])", re.ASCII)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


class CatalogueError(ValueError):
    """The catalogue is invalid; the message names the entry and the fault."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature over one window.

    Attributes:
        name: `feature_name` of its rows.
        window: `window_len` of its rows, for example 2h or all_time.
        length: the window's; None for all_time.
        kind: the events it reads.
        source: origin of the definition.
    """

    name: str
    window: str
    length: timedelta | None
    aggregation: Aggregation
    kind: Kind
    description: str
    source: str

    @property
    def column(self) -> str:
        """Its column in wide rows."""
        return f"{self.name}_{self.window}"

    @property
    def reach(self) -> Reach:
        """The slots that it reads; empty for all_time."""
        if self.aggregation.reach is None or self.length is None:
            return Reach()
        return self.aggregation.reach(self.length)


class _Entry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    aggregation: str
    kind: Kind
    windows: list[str]
    description: str
    source: str


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    features: list[_Entry]


@cache
def catalogue() -> tuple[Feature, ...]:
    """The project's features, in the order of the file."""
    return parse_catalogue(files("pmp_schema").joinpath("features.toml").read_text("utf-8"))


def parse_catalogue(text: str) -> tuple[Feature, ...]:
    """Reads features from a TOML text.

    Raises:
        CatalogueError: the text is not TOML, has an unknown field or aggregation, a window that is invalid or does
            not suit the aggregation, or the same feature twice.
    """
    try:
        entries = msgspec.convert(tomllib.loads(text), _File).features
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise CatalogueError(str(error)) from error
    features = tuple(feature for entry in entries for feature in _features(entry))
    _check_unique(features)
    return features


def look_back(features: Iterable[Feature]) -> timedelta:
    """How far before `as_of` raw events are read: the oldest slot of any feature, at least four weeks."""
    return max(ACTIVE, *(feature.reach.look_back for feature in features))


def _features(entry: _Entry) -> Iterator[Feature]:
    aggregation = AGGREGATIONS.get(entry.aggregation)
    if aggregation is None:
        raise CatalogueError(f"{entry.name}: unknown aggregation {entry.aggregation!r}")
    if not _NAME.fullmatch(entry.name):
        raise CatalogueError(f"{entry.name!r}: a name is lower-case letters, digits and underscores")
    if not entry.windows:
        raise CatalogueError(f"{entry.name}: no window")
    for window in entry.windows:
        try:
            length = _length(window, aggregation)
        except ValueError as error:
            raise CatalogueError(f"{entry.name}: {window}: {error}") from error
        yield Feature(entry.name, window, length, aggregation, entry.kind, entry.description, entry.source)


def _length(window: str, aggregation: Aggregation) -> timedelta | None:
    if (window == ALL_TIME) != (aggregation.reach is None):
        raise ValueError(f"{aggregation.name} does not count over it")
    if aggregation.reach is None:
        return None
    match = _WINDOW.fullmatch(window)
    if match is None:
        raise ValueError("a window is a number with m, h or w, or all_time")
    length = int(match[1]) * _UNITS[match[2]]
    if not _SHORTEST <= length <= ACTIVE:
        raise ValueError("a window is 30 minutes to 4 weeks long")
    if aggregation.reach(length) == Reach():
        raise ValueError(f"too short for {aggregation.name}")
    return length


def _check_unique(features: Iterable[Feature]) -> None:
    seen: set[tuple[str, timedelta | None]] = set()
    for feature in features:
        key = (feature.name, feature.length)
        if key in seen:
            raise CatalogueError(f"{feature.name}: {feature.window}: defined twice")
        seen.add(key)
