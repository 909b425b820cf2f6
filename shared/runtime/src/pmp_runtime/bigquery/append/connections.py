"""The one connection that an appender sends by, and its replacement."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pmp_runtime.bigquery.append.connection import Connect, Connection
from pmp_runtime.bigquery.append.drift import Layout
from pmp_runtime.bigquery.append.encoders import RowEncoder


@dataclass(frozen=True, slots=True)
class Link:
    """A connection, and how rows are encoded for it.

    Attributes:
        overhead_bytes: what a request may weigh beside its rows.
    """

    layout: Layout
    encoder: RowEncoder
    overhead_bytes: int
    connection: Connection


class Links:
    """Opens a connection when there is none alive, or none for the table's layout.

    Args:
        encoder: of the table as its schema file has it.
        layout: of the table as it is now.
    """

    def __init__(
        self, write_stream: str, encoder: RowEncoder, connect: Connect, layout: Callable[[], Layout]
    ) -> None:
        self._write_stream = write_stream
        self._encoder = encoder
        self._connect = connect
        self._layout = layout
        self._lock = threading.Lock()
        self._link: Link | None = None

    @property
    def newest(self) -> Link | None:
        return self._link

    @property
    def alive(self) -> bool:
        return self._link is not None and self._link.connection.alive

    def living(self) -> Link:
        """A connection that takes rows in the table's layout; one of another layout ends once it is answered."""
        with self._lock:
            link, layout = self._link, self._layout()
            fits = link is not None and link.layout is layout
            if link is not None and link.connection.alive:
                if fits:
                    return link
                link.connection.retire()
            encoder = link.encoder if link is not None and fits else self._encoder_of(layout)
            schema = encoder.schema()
            overhead_bytes = schema.ByteSize() + len(self._write_stream) + 64
            self._link = Link(layout, encoder, overhead_bytes, self._connect(self._write_stream, schema))
            return self._link

    def _encoder_of(self, layout: Layout) -> RowEncoder:
        is_known = layout.table == self._encoder.table
        return self._encoder if is_known else self._encoder.for_table(layout.table)
