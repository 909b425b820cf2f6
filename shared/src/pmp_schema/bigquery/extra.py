"""Fields that no schema file knows: kept in the JSON column `extra` until the table has a column for them."""

import logging
import re
import threading
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

import msgspec

from pmp_schema.bigquery.rows import BadValueError, Row, converter
from pmp_schema.instants import parse_instant
from pmp_schema.tables import Column

logger = logging.getLogger(__name__)

EXTRA: Final = "extra"
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
# Digits below microseconds would be lost: such a text stays where it is, unless they are zeros.
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6}0*)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MAX_SETS: Final = 1_000
_SHOWN_NAMES: Final = 20
_SHOWN_CHARS: Final = 64


def place_extra(row: Row, added: Iterable[Column]) -> Row:
    """Moves fields of `extra` into the columns of their names; what does not fit its column stays.

    Nothing is coerced and nothing is lost: a text is no number, and a number that a double cannot hold, an instant
    below microseconds and a null stay in `extra`.

    Args:
        added: columns that the table has and the row does not know of.

    Returns:
        The row itself where nothing was moved.
    """
    fields = _fields_of(row)
    placed: dict[str, object] = {}
    for column in added:
        if column.name in fields and column.name not in row:
            try:
                placed[column.name] = _fitted(fields[column.name], column)
            except (ValueError, OverflowError, RecursionError):
                continue  # BadValueError, or how Python and msgspec say the same
    if not placed:
        return row
    rest = {name: raw for name, raw in fields.items() if name not in placed}
    return {**row, **placed, EXTRA: msgspec.json.encode(rest) if rest else None}


def _fields_of(row: Row) -> dict[str, msgspec.Raw]:
    extra = row.get(EXTRA)
    if not isinstance(extra, str | bytes):
        return {}
    try:
        return _FIELDS.decode(extra)
    except (ValueError, RecursionError):
        return {}  # no JSON object: whether the row can be appended is not decided here


def _fitted(raw: msgspec.Raw, column: Column) -> object:
    read = _READERS[column.type]
    value = [read(element) for element in _ELEMENTS.decode(raw)] if column.mode == "REPEATED" else read(raw)
    converter(column)(value)
    return value


def _plain(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)


def _double(raw: msgspec.Raw) -> object:
    value = _plain(raw)
    if isinstance(value, int | float) and not (isfinite(value) and float(value) == value):
        raise BadValueError("not exact as a double")
    return value


def _instant(raw: msgspec.Raw) -> datetime:
    value = _plain(raw)
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise BadValueError("no instant in RFC 3339")
    return parse_instant(value)


def _day(raw: msgspec.Raw) -> date:
    value = _plain(raw)
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise BadValueError("no date")
    return date.fromisoformat(value)


def _binary(raw: msgspec.Raw) -> bytes:
    value = _plain(raw)
    if not isinstance(value, str):
        raise BadValueError("no base64")
    try:
        data = b64decode(value, validate=True)
    except Base64Error as error:
        raise BadValueError("no base64") from error
    if b64encode(data).decode() != value:
        raise BadValueError("not the base64 of these bytes")
    return data


def _document(raw: msgspec.Raw) -> bytes:
    data = bytes(raw).strip()
    if data == b"null":
        raise BadValueError("null")
    return data


_READERS: Final[Mapping[str, Callable[[msgspec.Raw], object]]] = {
    "STRING": _plain,
    "INTEGER": _plain,
    "FLOAT": _double,
    "BOOLEAN": _plain,
    "TIMESTAMP": _instant,
    "DATE": _day,
    "BYTES": _binary,
    "JSON": _document,
}
FILLABLE: Final = frozenset(_READERS)
"""Column types that a field of `extra` can fill."""


class UnknownFields:
    """Counts rows by the fields that only `extra` has; the first row of every set of names is a log line.

    Args:
        max_sets: sets of names that are told apart; names come from outside and may be without end.
    """

    def __init__(self, max_sets: int = _MAX_SETS) -> None:
        self._max_sets = max_sets
        self._lock = threading.Lock()
        self._rows: Counter[tuple[str, ...]] = Counter()

    @property
    def rows(self) -> Mapping[tuple[str, ...], int]:
        """Sorted names to the number of rows; those beyond `max_sets` count under the empty tuple."""
        with self._lock:
            return MappingProxyType(dict(self._rows))

    def count(self, rows: Iterable[Row], *, placed: Collection[str] = ()) -> None:
        """Counts the rows that have unknown fields.

        Args:
            placed: names that the table has columns for.
        """
        for row in rows:
            if row.get(EXTRA) is not None:
                self._count(tuple(sorted(_fields_of(row).keys() - set(placed))))

    def _count(self, names: tuple[str, ...]) -> None:
        if not names:
            return
        with self._lock:
            is_new = names not in self._rows and len(self._rows) < self._max_sets
            self._rows[names if is_new or names in self._rows else ()] += 1
        if is_new:
            shown = [name[:_SHOWN_CHARS] for name in names[:_SHOWN_NAMES]]
            logger.warning("fields.unknown", extra={"names": shown, "fields": len(names)})
