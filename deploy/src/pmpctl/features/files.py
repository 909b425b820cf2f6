"""Files of feature rows, written page by page; an incomplete file never replaces a complete one."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pmp_schema.timestamps import format_timestamp
from pmpctl.errors import CommandError

NAME: Final = "station_features"
WritePage = Callable[[Sequence[Mapping[str, Any]]], object]


class Format(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"


def destination(output: Path, kind: Format) -> Path:
    """The file itself; if `output` is a folder, a file in it with the table's name.

    Raises:
        CommandError: the folder does not exist.
    """
    path = output / f"{NAME}.{kind}" if output.is_dir() else output
    if not path.parent.is_dir():
        raise CommandError(f"--output {output}: the folder {path.parent} does not exist")
    return path


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary file that replaces `path` at the end of the block, or is deleted if the block raises.

    Raises:
        CommandError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def open_rows(path: Path, kind: Format, columns: Sequence[str]) -> Iterator[WritePage]:
    """Opens a file and gives a function that writes pages of rows.

    Raises:
        CommandError: the format's library is not installed.
    """
    opened = _open_csv if kind is Format.CSV else _open_parquet
    with opened(path, columns) as write:
        yield write


@contextmanager
def _open_csv(path: Path, columns: Sequence[str]) -> Iterator[WritePage]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        yield lambda page: writer.writerows([_text(row[name]) for name in columns] for row in page)


def _text(value: Any) -> Any:
    return format_timestamp(value) if isinstance(value, datetime) else value


@contextmanager
def _open_parquet(path: Path, columns: Sequence[str]) -> Iterator[WritePage]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise CommandError("--format parquet needs pmpctl[export]") from None
    text, time = pa.string(), pa.timestamp("us", tz="UTC")
    kinds = {"city_id": text, "station_id": text, "as_of": time, "known_at": time}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in columns])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield lambda page: writer.write_batch(pa.RecordBatch.from_pylist(page, schema=schema))
