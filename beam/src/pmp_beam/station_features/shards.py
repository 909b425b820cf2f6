"""Tables cut into shards, and packed for the shuffle: few large elements instead of one per row."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Integers = npt.NDArray[np.signedinteger[Any]]

MAX_SHARDS: Final = 1 << 16
# Texts that repeat within a piece. A piece is packed with the few that it has, not with all of its table's.
_REPEATED: Final = frozenset({"city_id", "station_id", "kind", "feature_name", "window_len"})
# A third of the bytes, half of those of lz4: the local runner holds a shuffle three times over.
_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))


def codes(column: pa.ChunkedArray) -> tuple[Integers, pa.Array]:
    """A text column as numbers from 0, and the text of each."""
    if pa.types.is_dictionary(column.type):
        encoded = column.unify_dictionaries().combine_chunks()
    else:
        encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary


def cut(table: pa.Table, column: str, shards: int) -> Iterator[tuple[int, pa.Table]]:
    """Splits rows by a text column; the same text is in the same shard wherever and whenever it is split.

    Args:
        shards: how many there are, at most `MAX_SHARDS`.
    """
    of_row, texts = codes(table[column])
    of_text = np.array([zlib.crc32(text.encode()) % shards for text in texts.to_pylist()], np.uint16)
    shard = of_text[of_row]
    ordered = table.take(pa.array(np.argsort(shard, kind="stable")))
    first = 0
    for number, rows in enumerate(np.bincount(shard, minlength=shards)):
        if rows:
            yield number, ordered.slice(first, rows)
        first += rows


def pack(table: pa.Table) -> bytes:
    """The table as an Arrow IPC stream."""
    for index, name in enumerate(table.column_names):
        if name in _REPEATED and not pa.types.is_dictionary(table.schema.types[index]):
            table = table.set_column(index, name, table[name].combine_chunks().dictionary_encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table.combine_chunks())
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def unpack(pieces: Iterable[bytes], schema: pa.Schema | None = None) -> pa.Table:
    """What was packed, as one table.

    Args:
        schema: of the empty table, where there may be no piece.
    """
    tables = [pa.ipc.open_stream(piece).read_all() for piece in pieces]
    if schema is not None and not tables:
        return schema.empty_table()
    return pa.concat_tables(tables).unify_dictionaries()
