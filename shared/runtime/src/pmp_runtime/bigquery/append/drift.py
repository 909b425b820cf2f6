"""How a table of ours stands to the one that BigQuery has now, and what that means for rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pmp_runtime.bigquery.append.extra import EXTRA, FILLABLE, place_extra
from pmp_runtime.bigquery.append.row_values import BadValueError
from pmp_schema.errors import Reason
from pmp_schema.tables import Column, Row, Table

# Other names are allowed in BigQuery, but protocol buffers have no fields of such names.
_FIELD_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LENGTH_CHANGES_NOTHING: Final = re.compile(r"\(.*\)")


@dataclass(frozen=True, slots=True)
class Layout:
    """What can be appended to a table.

    Attributes:
        table: its columns are those that are sent.
        added: columns of the table that its schema file lacks; filled from `extra`.
        lacking: column of the schema file that no value can be stored in, to the reason.
        demanded: columns that are REQUIRED in the table only.
    """

    table: Table
    added: tuple[Column, ...] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)
    demanded: tuple[str, ...] = ()

    def without_added(self) -> "Layout":
        columns = tuple(column for column in self.table.columns if column not in self.added)
        return replace(self, table=replace(self.table, columns=columns), added=())

    def fit(self, row: Row) -> Row:
        """The row as the table takes it.

        Raises:
            DriftError: it would lose a value, or lacks one.
        """
        if not (self.added or self.lacking or self.demanded):
            return row
        if self.added:
            row = place_extra(row, self.added)
        for name, why in self.lacking.items():
            if row.get(name) not in (None, [], ()):
                raise DriftError(f"{name}: {why}")
        for name in self.demanded:
            if row.get(name) is None:
                raise DriftError(f"{name}: REQUIRED in the table")
        return {name: value for name, value in row.items() if name not in self.lacking}


class DriftError(BadValueError):
    """A row cannot be stored whole in the table as it is now; the message names the column."""

    reason = Reason.SCHEMA_DRIFT


def layout_of(known: Table, live: Sequence[Column]) -> Layout:
    """The layout for a table whose columns in BigQuery are `live`.

    Args:
        known: from the schema file.
        live: types that the schema files do not use, and types with a length (`STRING(10)`), are never filled.
    """
    found = {column.name.lower(): column for column in live}  # names differ by more than case in BigQuery
    lacking = {c.name: why for c in known.columns if (why := _misfit(c, found.get(c.name.lower())))}
    kept = [column for column in known.columns if column.name not in lacking]
    names = {column.name.lower() for column in known.columns}
    new = [column for column in live if column.name.lower() not in names]
    demanded = [c.name for c in kept if c.mode != "REQUIRED" and found[c.name.lower()].mode == "REQUIRED"]
    demanded += [column.name for column in new if column.mode == "REQUIRED"]
    added = _fillable(known, new)
    if not (lacking or added):
        return Layout(known, demanded=tuple(demanded))
    return Layout(replace(known, columns=(*kept, *added)), added, lacking, tuple(demanded))


def _misfit(column: Column, live: Column | None) -> str | None:
    if live is None:
        return "no such column in the table"
    kind = _LENGTH_CHANGES_NOTHING.sub("", live.type)
    # JSON travels as text, so that a STRING column stores the same.
    if kind != column.type and (column.type, kind) != ("JSON", "STRING"):
        return f"{column.type}, but {live.type} in the table"
    if (live.mode == "REPEATED") != (column.mode == "REPEATED"):
        return f"{column.mode}, but {live.mode} in the table"
    return None


def _fillable(known: Table, new: Sequence[Column]) -> tuple[Column, ...]:
    if not any(column.name == EXTRA for column in known.columns):
        return ()
    taken = {_json_name(column.name) for column in known.columns}
    fillable: list[Column] = []
    for column in new:
        name = _json_name(column.name)
        if column.type in FILLABLE and _FIELD_NAME.fullmatch(column.name) and name not in taken:
            fillable.append(column)
            taken.add(name)
    return tuple(fillable)


def _json_name(name: str) -> str:
    """A protocol buffer refuses two fields whose JSON names, which have no underscores, are the same."""
    return name.replace("_", "").lower()
