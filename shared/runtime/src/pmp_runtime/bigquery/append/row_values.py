"""From a row of Python values to the values that both encodings carry, or a reason why not."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from pmp_schema.errors import Reason
from pmp_schema.tables import Column, Row, Table
from pmp_schema.timestamps import EPOCH, to_micros

_EPOCH_DAY: Final = EPOCH.toordinal()
_FIRST_US: Final = -62_135_596_800_000_000  # 0001-01-01, the first TIMESTAMP that BigQuery has
_LAST_US: Final = 253_402_300_799_999_999
# Every escape of a JSON text; group 1 is half a surrogate pair, which JSON allows and UTF-8 does not.
_ESCAPES: Final = re.compile(
    r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.ASCII | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that can never be appended as it is.

    Attributes:
        row: the very object that was to be appended.
        detail: what is wrong with it; names columns, never values of ours.
        reason: of its dead letter.
    """

    row: Row
    detail: str
    reason: Reason = Reason.ROW_REJECTED


class BadValueError(ValueError):
    """A value does not fit its column."""

    reason = Reason.ROW_REJECTED


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadValueError(f"expected text, got {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadValueError("not encodable as UTF-8") from None
    return value


def _json(value: object) -> str:
    text = _decoded(value) if isinstance(value, bytes) else _text(value)
    if "\\u" in text and any(escape[1] for escape in _ESCAPES.finditer(text)):
        raise BadValueError("JSON with an unpaired surrogate")
    return text


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadValueError("not UTF-8") from None


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadValueError(f"expected an integer, got {type(value).__name__}")
    if not -(2**63) <= value < 2**63:
        raise BadValueError("beyond 64 bits")
    return value


def _float(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadValueError(f"expected a number, got {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        raise BadValueError("beyond the range of a double") from None


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadValueError(f"expected a boolean, got {type(value).__name__}")
    return value


def _timestamp(value: object) -> int:
    if not isinstance(value, datetime):
        raise BadValueError(f"expected a datetime, got {type(value).__name__}")
    if value.utcoffset() is None:
        raise BadValueError("datetime without an offset")
    micros = to_micros(value)
    if not _FIRST_US <= micros <= _LAST_US:
        raise BadValueError("outside the years 1 to 9999 in UTC")
    return micros


def _date(value: object) -> int:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise BadValueError(f"expected a date, got {type(value).__name__}")
    return value.toordinal() - _EPOCH_DAY


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise BadValueError(f"expected bytes, got {type(value).__name__}")
    return value


_CONVERTERS: Final[Mapping[str, Callable[[object], object]]] = {
    "STRING": _text,
    "JSON": _json,
    "INTEGER": _integer,
    "FLOAT": _float,
    "BOOLEAN": _boolean,
    "TIMESTAMP": _timestamp,
    "DATE": _date,
    "BYTES": _bytes,
}


def converter(column: Column) -> Callable[[object], object]:
    """What turns a value of the column (not None) into what the encodings carry; it raises BadValueError."""
    convert = _CONVERTERS[column.type]
    if column.mode != "REPEATED":
        return convert

    def convert_all(value: object) -> object:
        if not isinstance(value, list | tuple):
            raise BadValueError(f"expected a list, got {type(value).__name__}")
        return [convert(element) for element in value]

    return convert_all


class RowConverter:
    """Turns rows of one table into lists of values in column order.

    A TIMESTAMP becomes microseconds and a DATE days since 1970-01-01; an absent value becomes None
    (an absent list an empty one).
    """

    def __init__(self, table: Table) -> None:
        self._names = frozenset(column.name for column in table.columns)
        self._columns = tuple((c.name, c.mode, converter(c)) for c in table.columns)

    def convert(self, row: Row) -> list[object]:
        """The row's values in column order.

        Raises:
            BadValueError: a value does not fit, a REQUIRED one is absent, or a column is unknown.
        """
        values: list[object] = []
        for name, mode, convert in self._columns:
            value = row.get(name)
            if value is None:
                if mode == "REQUIRED":
                    raise BadValueError(f"{name}: required, but absent")
                values.append([] if mode == "REPEATED" else None)
                continue
            try:
                values.append(convert(value))
            except BadValueError as error:
                raise BadValueError(f"{name}: {error}") from None
        if not self._names.issuperset(row):
            raise BadValueError(f"unknown column: {min(set(row) - self._names)[:128]}")
        return values

    def convert_all(
        self, rows: Iterable[Row], prepare: Callable[[Row], Row]
    ) -> tuple[list[Row], list[list[object]], list[RejectedRow]]:
        """The rows that fit, their values, and the rejected rows.

        Args:
            prepare: makes of a row what is converted, or raises BadValueError.
        """
        kept: list[Row] = []
        converted: list[list[object]] = []
        rejected: list[RejectedRow] = []
        for row in rows:
            try:
                converted.append(self.convert(prepare(row)))
                kept.append(row)
            except BadValueError as error:
                rejected.append(RejectedRow(row, str(error), error.reason))
        return kept, converted, rejected
