"""Fields that no schema file knows: kept in the JSON column `extra` until the table has a column for them."""

import logging
import re
import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime
from math import isfinite
from typing import Any, Final

import msgspec

from pmp_runtime.bigquery.append.row_values import BadValueError, converter
from pmp_runtime.logs import Tally
from pmp_schema.tables import Column, Row
from pmp_schema.timestamps import parse_timestamp

logger = logging.getLogger(__name__)

EXTRA: Final = "extra"
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
# Digits below microseconds would be lost: such a text stays where it is, unless they are zeros.
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6}0*)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


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
    return parse_timestamp(value)


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
    """Tells of fields that no column has: one log line per table and minute, with names and numbers of rows.

    Args:
        table: its id.
        monotonic: seconds.
    """

    def __init__(self, table: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tally = Tally(logger, "fields.unknown", interval_s=60, monotonic=monotonic, table=table)

    def count(self, rows: Iterable[Row], *, placed: Collection[str] = ()) -> None:
        """Counts the rows that have such fields.

        Args:
            placed: names that the table has columns for.
        """
        for row in rows:
            if row.get(EXTRA) is not None:
                self._tally.add(*sorted(_fields_of(row).keys() - set(placed)))
        self._tally.flush()
