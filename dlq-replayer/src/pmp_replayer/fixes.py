"""Declarative repairs of a dead letter's JSON body: `set`, `remove` and `cast` at a path.

A fix that does not fit refuses the dead letter rather than being skipped: the body is not what its author expected.
"""

import copy
import gzip
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from pmp_replayer.json_path import Key, Path, parse_path, spell
from pmp_schema.errors import PoisonMessage
from pmp_schema.events import gunzip
from pmp_schema.gbfs import decode_json
from pmp_schema.timestamps import format_timestamp, parse_timestamp

MAX_MESSAGE_BYTES: Final = 10_000_000  # https://cloud.google.com/pubsub/quotas
EXCERPT: Final = 200
_INTEGER: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,4})?", re.ASCII)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


class FixInapplicable(Exception):
    """The body is not JSON, has nothing at the path, or has a value there that cannot be cast."""


class _Fix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    path: str

    def __post_init__(self) -> None:
        parse_path(self.path)


class Set(_Fix, frozen=True, kw_only=True, tag="set"):
    """Sets a value. The last key may be new; everything before it must exist."""

    value: Any


class Remove(_Fix, frozen=True, kw_only=True, tag="remove"):
    """Removes a key or a list entry."""


class Cast(_Fix, frozen=True, kw_only=True, tag="cast"):
    """Converts a value to another type; a timestamp becomes RFC 3339 in UTC."""

    to: Literal["integer", "number", "string", "boolean", "timestamp"]


Fix = Set | Remove | Cast


@dataclass(frozen=True, slots=True)
class Change:
    """What one fix changed at one place: JSON texts of at most 200 characters; None for no value."""

    path: str
    before: str | None
    after: str | None


def apply(fixes: Sequence[Fix], data: bytes, attributes: Mapping[str, str]) -> tuple[bytes, list[Change]]:
    """Applies all fixes; returns the body, compressed if it was, and the changes.

    Without a change the bytes stay as they are. After a change, values and their order stay, formatting does not.

    Raises:
        FixInapplicable: at least one fix does not fit, or the result cannot be published.
    """
    zipped = attributes.get("content-encoding", "").lower() == "gzip"
    try:
        root = decode_json(gunzip(data) if zipped else data)
    except PoisonMessage as poison:
        raise FixInapplicable(str(poison.reason)) from poison
    changes = [change for fix in fixes for change in _apply(fix, root)]
    if not changes:
        return data, []
    try:
        body = json.dumps(root, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise FixInapplicable("the result is not JSON") from error
    body = gzip.compress(body, mtime=0) if zipped else body
    if len(body) > MAX_MESSAGE_BYTES:
        raise FixInapplicable(f"the result has {len(body)} bytes")
    return body, changes


def _apply(fix: Fix, root: Any) -> list[Change]:
    path = parse_path(fix.path)
    places = list(_places(root, path, (), may_be_new=isinstance(fix, Set)))
    if not places:
        raise FixInapplicable(f"nothing at {fix.path}")
    if isinstance(fix, Remove):
        places.reverse()  # entries of a list move up when one before them goes
    changes = []
    for container, key, where in places:
        is_new = isinstance(container, dict) and key not in container
        before = None if is_new else _excerpt(container[key])
        if isinstance(fix, Remove):
            del container[key]
            changes.append(Change(where, before, None))
            continue
        # A copy: the next fix may change it, and other dead letters get the same value.
        after = copy.deepcopy(fix.value) if isinstance(fix, Set) else _cast(container[key], fix.to)
        if is_new or not _same(container[key], after):
            container[key] = after
            changes.append(Change(where, before, _excerpt(after)))
    return changes


def _places(
    value: Any, path: Path, gone: tuple[Key, ...], *, may_be_new: bool
) -> Iterator[tuple[Any, Any, str]]:
    """(container, key, path as text) of everything that the path selects."""
    step, rest = path[0], path[1:]
    for key in _keys(value, step, may_be_new=may_be_new and not rest):
        if rest:
            yield from _places(value[key], rest, (*gone, key), may_be_new=may_be_new)
        else:
            yield value, key, spell((*gone, key))


def _keys(value: Any, step: Key, *, may_be_new: bool) -> Sequence[Key]:
    if isinstance(value, dict) and isinstance(step, str):
        return [step] if step in value or may_be_new else []
    if isinstance(value, list) and not isinstance(step, str):
        indexes = range(len(value))
        return indexes if step is None else [step] if step in indexes else []
    return []


def _cast(value: Any, to: str) -> Any:
    try:
        return _CASTS[to](value)
    except (ValueError, KeyError) as error:
        raise FixInapplicable(f"a value cannot be cast to {to}") from error


def _integer(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _number(value: Any) -> int | float:
    text = _string(value).strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not _NUMBER.fullmatch(text):
        raise ValueError
    number = int(text) if _INTEGER.fullmatch(text) else float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _string(value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        raise ValueError
    return value if isinstance(value, str) else json.dumps(value)


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else _BOOLEANS[_string(value).strip().lower()]


_CASTS: Final[Mapping[str, Any]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "boolean": _boolean,
    "timestamp": lambda value: format_timestamp(parse_timestamp(value)),
}


def _same(before: Any, after: Any) -> bool:
    """Equal as JSON; to Python, 1, 1.0 and true are equal too."""
    return json.dumps(before) == json.dumps(after)


def _excerpt(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:EXCERPT]
