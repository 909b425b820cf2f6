"""Where tables are, and the process's one channel to the Storage API.

The direct runner sets a DoFn up and tears it down for every bundle, and tears nothing down after a failure. What
costs a connection is therefore made once per process and kept until it ends; threads share it.
"""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Final, ParamSpec, TypeVar

import grpc
from google.cloud.bigquery_storage_v1.services.big_query_read import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from pmp_runtime.bigquery.append.appender import Appender
from pmp_runtime.bigquery.append.channel import storage_write_channel, write_client
from pmp_runtime.bigquery.append.connection import connector
from pmp_runtime.bigquery.append.encoders import encoder_for
from pmp_runtime.bigquery.append.live_schema import column_reader
from pmp_schema import tables

P = ParamSpec("P")
T = TypeVar("T")
_STAMP: Final = "ingest_ts"


def once_per_process(make: Callable[P, T]) -> Callable[P, T]:
    """Caches what a function makes, also when several threads ask for the first one at the same time."""
    lock = threading.RLock()
    cached = cache(make)

    def get(*args: P.args, **kwargs: P.kwargs) -> T:
        with lock:
            return cached(*args, **kwargs)  # type: ignore[arg-type]

    return get


def table_path(name: str, project: str, moved_to: str | None = None) -> str:
    """A table's resource name.

    Args:
        name: table id of `pmp_schema.tables`.
        moved_to: `project.dataset.table`, where the table is not in its own place.
    """
    return tables.table(name).path(project, moved_to)


@once_per_process
def _channel(emulator_host: str | None) -> grpc.Channel:
    # Reading has the same host as writing, and its scopes are among those of writing.
    return storage_write_channel(emulator_host)


@once_per_process
def read_client(emulator_host: str | None) -> Any:
    """The generated client of the Storage Read API.

    Args:
        emulator_host: `host:port`, or None for Google.
    """
    return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=_channel(emulator_host)))


@once_per_process
def appender(name: str, path: str, emulator_host: str | None) -> Appender:
    """The process's appender to a table.

    Args:
        name: table id of `pmp_schema.tables`.
        path: resource name of the table.
        emulator_host: `host:port`, or None for Google.
    """
    table = tables.table(name)
    client = write_client(_channel(emulator_host))
    return Appender(
        path,
        encoder_for("arrow", table),
        connector(client),
        read_columns=column_reader(client),
        stamp=_STAMP if any(column.name == _STAMP for column in table.columns) else None,
    )
