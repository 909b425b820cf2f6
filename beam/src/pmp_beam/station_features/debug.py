"""What a run used and made, as files to look at."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from apache_beam.io.filesystems import FileSystems

Format = Literal["csv", "parquet"]


@dataclass(frozen=True, slots=True)
class DebugOutput:
    """Files under a folder; a shard that is computed again writes its file again.

    Attributes:
        root: a local folder or `gs://bucket[/folder]`.
        run_id: names the folder in `feature-debug/`.
    """

    root: str
    run_id: str
    format: Format = "csv"

    def write(self, what: str, shard: int, table: pa.Table) -> None:
        """Writes the table as `<root>/feature-debug/<run_id>/<what>-<shard>.<format>`."""
        folder = FileSystems.join(self.root, "feature-debug", self.run_id)
        path = FileSystems.join(folder, f"{what}-{shard:05d}.{self.format}")
        with FileSystems.create(path) as file:
            if self.format == "csv":
                pa.csv.write_csv(_texts(table), file)
            else:
                pa.parquet.write_table(table, file)


def _texts(table: pa.Table) -> pa.Table:
    """The table without dictionaries, which CSV does not have."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))
