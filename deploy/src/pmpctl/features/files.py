"""Files of rows, written page by page and complete or not there."""

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from pmp_schema.timestamps import format_timestamp
from pmpctl.errors import CommandError

NAME: Final = "station_features"


class Format(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result; `type` as BigQuery's API spells it."""

    name: str
    type: str


Page = Sequence[Sequence[Any]]


class RowFile(Protocol):
    def write(self, page: Page) -> None: ...


def destination(output: Path, kind: Format) -> Path:
    """The file itself; in a folder it is named after the table.

    Raises:
        CommandError: its folder is not there.
    """
    path = output / f"{NAME}.{kind}" if output.is_dir() else output
    if not path.parent.is_dir():
        raise CommandError(f"--output {output}: there is no folder {path.parent}")
    return path


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file beside a path that takes its place at the end of the block, and is gone where that raises.

    Raises:
        CommandError: it cannot be written there.
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
def open_rows(path: Path, kind: Format, columns: Sequence[Column]) -> Iterator[RowFile]:
    """A file that takes pages of rows, in the order of the columns."""
    opened = _open_csv if kind is Format.CSV else _open_parquet
    with opened(path, columns) as file:
        yield file


class _Csv:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, page: Page) -> None:
        self._writer.writerows([_text(value) for value in row] for row in page)


@contextmanager
def _open_csv(path: Path, columns: Sequence[Column]) -> Iterator[_Csv]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in columns])
        yield _Csv(writer)


def _text(value: Any) -> Any:
    return format_timestamp(value) if isinstance(value, datetime) else value


class _Parquet:
    def __init__(self, writer: Any, arrow: Any, schema: Any) -> None:
        self._writer = writer
        self._arrow = arrow
        self._schema = schema

    def write(self, page: Page) -> None:
        if not page:
            return
        arrays = [
            self._arrow.array(values, type=kind)
            for values, kind in zip(zip(*page, strict=True), self._schema.types, strict=True)
        ]
        self._writer.write_batch(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema))


@contextmanager
def _open_parquet(path: Path, columns: Sequence[Column]) -> Iterator[_Parquet]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise CommandError("--format parquet needs pmpctl[export]") from None
    kinds = {"STRING": pa.string(), "FLOAT": pa.float64(), "TIMESTAMP": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(column.name, kinds[column.type]) for column in columns])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield _Parquet(writer, pa, schema)
