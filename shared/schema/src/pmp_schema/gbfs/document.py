"""A feed body of any version: from bytes to a JSON object, its time and its stations.

The result of unusual bodies:

| body | result |
|---|---|
| empty, or only white space | `empty` |
| not UTF-8, UTF-16 | `not_utf8` |
| HTML, a cut body, NaN, Infinity, lone surrogates, numbers beyond a double | `not_json` |
| nested deeper than `MAX_DEPTH` | `too_deep` |
| an array, a string, a number, null | `schema` |
| a byte order mark at the start | accepted |
| a key twice in one object | the last value counts |
| an integer of 2^70 | kept; it is neither a count nor a time |
"""

from codecs import BOM_UTF8
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

import msgspec

from pmp_schema.errors import PoisonMessage, Reason
from pmp_schema.timestamps import in_range, try_parse_timestamp

MAX_DEPTH: Final = 100
"""Levels of nesting that are read. GBFS needs 9 (`station_area`); a BigQuery JSON value takes 500."""

FeedTimeSource = Literal["last_updated", "lastUpdatedOther", "date_header", "fetched_at"]

_BRACKETS: Final = b"[]{}"
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(_BRACKETS))
_decoder: Final = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Document:
    """One GBFS file.

    Attributes:
        root: the JSON object, envelope keys (`last_updated`, `ttl`, `version`) included.
    """

    root: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """The `data` object; the root where a producer left out this level."""
        data = self.root.get("data")
        return data if isinstance(data, dict) else self.root


@dataclass(frozen=True, slots=True)
class FeedTime:
    """The time at which a feed's values were true.

    Attributes:
        at: aware UTC.
        source: the field that it comes from.
    """

    at: datetime
    source: FeedTimeSource


def decode(body: bytes | msgspec.Raw) -> Document:
    """Reads a feed body.

    Raises:
        PoisonMessage: `empty`, `not_utf8`, `not_json`, `too_deep` or `schema`; see the module's table.
    """
    value = decode_json(bytes(body))
    if not isinstance(value, dict):
        raise PoisonMessage(Reason.SCHEMA, f"the document is a JSON {type(value).__name__}, not an object")
    return Document(value)


def decode_json(body: bytes) -> Any:
    """Reads any JSON value, with the results of the module's table.

    Raises:
        PoisonMessage: `empty`, `not_utf8`, `not_json` or `too_deep`.
    """
    body = body.removeprefix(BOM_UTF8)
    if not body or body.isspace():
        raise PoisonMessage(Reason.EMPTY)
    try:
        value = _decoder.decode(body)
    except UnicodeDecodeError as error:
        raise PoisonMessage(Reason.NOT_UTF8) from error
    except RecursionError as error:
        raise PoisonMessage(Reason.TOO_DEEP, f"more than {MAX_DEPTH} levels") from error
    except msgspec.DecodeError as error:
        raise _why_not_json(body, error) from error
    # The interpreter's recursion limit depends on its version (about 1,000 levels in 3.11, 9,000 in 3.13) and on
    # the caller's stack. With a limit of our own, a body has the same result everywhere.
    if may_exceed_depth(body) and _is_deeper(value, MAX_DEPTH):
        raise PoisonMessage(Reason.TOO_DEEP, f"more than {MAX_DEPTH} levels")
    return value


def feed_time(document: Document, *, fetched_at: datetime, date_header: str | None = None) -> FeedTime:
    """The feed's own time: `last_updated`, else `lastUpdatedOther` (Vélib), else HTTP Date, else the fetch.

    A value that cannot be read or lies outside [2000-01-01, fetch + 1 day] is ignored.

    Args:
        document: any GBFS file.
        fetched_at: when the body was received, aware.
        date_header: the `Date` header of the response.
    """
    for key in ("last_updated", "lastUpdatedOther"):
        at = try_parse_timestamp(document.root.get(key))
        if at is not None and in_range(at, fetched_at):
            return FeedTime(at, key)
    at = _http_date(date_header)
    if at is not None and in_range(at, fetched_at):
        return FeedTime(at, "date_header")
    return FeedTime(fetched_at.astimezone(UTC), "fetched_at")


def stations(document: Document) -> list[Any] | None:
    """The raw, unchecked entries of `data.stations`; None where this list is missing."""
    found = document.data.get("stations")
    return found if isinstance(found, list) else None


def station_count(document: Document) -> int | None:
    """The number of listed entries, including rejected and duplicate ones; None where the list is missing."""
    found = stations(document)
    return None if found is None else len(found)


def may_exceed_depth(body: bytes) -> bool:
    """Whether a body could be nested deeper than `MAX_DEPTH`.

    A cheap check that removes innermost pairs. Brackets in strings can only make it answer yes without need.
    """
    left = body.translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        peeled = left.replace(b"{}", b"").replace(b"[]", b"")
        if not peeled:
            return False
        if len(peeled) == len(left):
            return True
        left = peeled
    return True


def _why_not_json(body: bytes, error: msgspec.DecodeError) -> PoisonMessage:
    try:
        body.decode()
    except UnicodeDecodeError:
        return PoisonMessage(Reason.NOT_UTF8)
    return PoisonMessage(Reason.NOT_JSON, str(error))


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [child for parent in level for child in _containers(parent)]
    return bool(level)


def _containers(parent: Any) -> list[Any]:
    children = parent.values() if isinstance(parent, dict) else parent
    return [child for child in children if isinstance(child, dict | list)]


def _http_date(header: str | None) -> datetime | None:
    if header is None:
        return None
    try:
        at = parsedate_to_datetime(header)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
