import numpy as np
import pyarrow as pa

from pmp_beam.station_features.partials import PARTIALS
from pmp_beam.station_features.rows import FINISHED
from pmp_beam.station_features.shards import cut, pack, unpack
from pmp_schema.features import AGGREGATIONS


def test_every_aggregation_is_there():
    assert PARTIALS.keys() == AGGREGATIONS.keys()
    assert FINISHED.keys() < AGGREGATIONS.keys()


def test_a_text_is_in_the_same_shard_wherever_it_is_cut():
    texts = [f"s-{n % 97}" for n in range(1000)]
    whole = {
        text: number
        for number, rows in cut(pa.table({"t": texts}), "t", 8)
        for text in rows["t"].unique().to_pylist()
    }
    assert len(whole) == 97
    assert set(whole.values()) == set(range(8))
    for first in range(0, 1000, 130):
        for number, rows in cut(pa.table({"t": texts[first : first + 130]}), "t", 8):
            assert {whole[text] for text in rows["t"].to_pylist()} == {number}


def test_what_is_packed_in_pieces_is_unpacked_whole():
    table = pa.table({"station_id": ["b", "a", "b"], "kind": ["x", "y", "y"], "n": np.arange(3)})
    pieces = [pack(table.slice(0, 2)), pack(table.slice(2))]
    assert unpack(pieces).to_pylist() == table.to_pylist()


def test_no_piece_is_an_empty_table():
    assert unpack([], pa.schema([("n", pa.int64())])).to_pylist() == []
