"""What BigQuery says of a table's columns, asked for seldom and shared by all who append."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery_storage_v1.types import TableFieldSchema, WriteStream, WriteStreamView

from pmp_runtime.bigquery.append.drift import Layout, layout_of
from pmp_schema.tables import Column, Table

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 60.0
_NAMES: Final = {"INT64": "INTEGER", "DOUBLE": "FLOAT", "BOOL": "BOOLEAN"}

ReadColumns = Callable[[str, float], Sequence[Column]]
"""The columns of a table: (write stream, seconds) -> columns, none where BigQuery does not tell.

Raises SchemaUnread.
"""


class SchemaUnread(Exception):
    """The columns could not be read now; the appends themselves will say what is wrong."""


def columns_of(schema: Any) -> tuple[Column, ...]:
    """The columns of a `TableSchema` message, types as in BigQuery's REST API, with their length: `STRING(10)`."""
    return tuple(Column(field.name, _type(field), _mode(field)) for field in schema.fields)


def column_reader(client: Any) -> ReadColumns:
    """Reads columns with a `BigQueryWriteClient`."""

    def read(write_stream: str, timeout_s: float) -> tuple[Column, ...]:
        request = {"name": write_stream, "view": WriteStreamView.FULL}
        try:
            stream = client.get_write_stream(request=request, timeout=timeout_s, retry=None)
        except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
            raise SchemaUnread(type(error).__name__) from error
        return columns_of(WriteStream.pb(stream).table_schema)

    return read


def _type(field: Any) -> str:
    name = str(TableFieldSchema.Type(field.type_).name)
    limits = [str(limit) for limit in (field.max_length, field.precision, field.scale) if limit]
    return _NAMES.get(name, name) + (f"({', '.join(limits)})" if limits else "")


def _mode(field: Any) -> str:
    mode = TableFieldSchema.Mode(field.mode)
    return "NULLABLE" if mode is TableFieldSchema.Mode.MODE_UNSPECIFIED else str(mode.name)


class LiveSchema:
    """The layout of one table as of the last time that BigQuery told its columns.

    Args:
        known: the table of the schema file; assumed until BigQuery tells.
        read: asks BigQuery for the columns; at most once a minute, whether it answers or not.
        monotonic: seconds.
    """

    def __init__(
        self,
        known: Table,
        read: Callable[[float], Sequence[Column]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known = known
        self._read = read
        self._monotonic = monotonic
        self._state = threading.Condition()
        self._layout = Layout(known)
        self._has_drifted = False
        self._told: tuple[Column, ...] = ()
        self._reading = False
        self._has_missed = False
        self._due_at = monotonic()

    @property
    def layout(self) -> Layout:
        """The same object as long as nothing changes."""
        return self._layout

    @property
    def due(self) -> bool:
        """Whether `refresh` would do something: ask, or wait for the first answer that there ever is."""
        return self._monotonic() >= self._due_at or (self._reading and not self._told)

    @property
    def has_drifted(self) -> bool:
        """Whether the table is not as its schema file has it."""
        return self._has_drifted

    def refresh(self, timeout_s: float) -> None:
        """Ask for the columns, unless that was done within the interval; wait for who is asking just now."""
        with self._state:
            if self._reading:
                self._state.wait_for(lambda: not self._reading, timeout_s)
                return
            if self._monotonic() < self._due_at:
                return
            self._reading = True
            self._due_at = self._monotonic() + INTERVAL_S
        told: Sequence[Column] = ()
        try:
            told = self._read(timeout_s)
            self._has_missed = False
        except SchemaUnread as error:
            self._miss(error)
        finally:
            with self._state:
                if told:
                    self._adopt(tuple(told))
                self._reading = False
                self._state.notify_all()

    def tell(self, columns: tuple[Column, ...]) -> None:
        """Columns that BigQuery told without being asked."""
        with self._state:
            if columns and columns != self._told:
                self._adopt(columns)

    def withhold_added(self, layout: Layout) -> None:
        """Columns that the layout adds were refused: BigQuery tells of a column before it takes values of it.

        They stay away until it is asked again.
        """
        with self._state:
            if self._layout is layout and layout.added:
                self._change(layout.without_added())

    def _miss(self, error: SchemaUnread) -> None:
        # A server that is only starting may well be too slow for one look, and the next is not far.
        level = logging.WARNING if self._has_missed else logging.INFO
        logger.log(level, "table.schema_unread", extra={"table": self._known.id, "cause": str(error)})
        self._has_missed = True

    def _adopt(self, columns: tuple[Column, ...]) -> None:
        self._told = columns
        layout = layout_of(self._known, columns)
        if layout != self._layout:
            self._change(layout)

    def _change(self, layout: Layout) -> None:
        self._layout = layout
        self._has_drifted = layout != Layout(self._known)
        logger.warning(
            "table.schema_changed",
            extra={
                "table": self._known.id,
                "added": [column.name for column in layout.added],
                "lacking": dict(layout.lacking),
            },
        )
