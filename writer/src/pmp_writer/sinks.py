"""One group commit per table, over one channel to the Storage Write API."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError

from pmp_runtime.bigquery.append.appender import Appender
from pmp_runtime.bigquery.append.connection import connector
from pmp_runtime.bigquery.append.encoders import encoder_for
from pmp_runtime.bigquery.append.extra import EXTRA, UnknownFields
from pmp_runtime.bigquery.append.live_schema import column_reader
from pmp_runtime.bigquery.append.row_values import RejectedRow
from pmp_schema import tables
from pmp_schema.errors import SinkUnavailable
from pmp_schema.tables import Row
from pmp_writer.config import Config
from pmp_writer.group_commit import Append, GroupCommit, Limits

WRITTEN = ("feed_snapshots", "raw_events", "station_information", "dead_letters", "events")
STAMP = "ingest_ts"


class Sinks:
    """The tables that the writer writes.

    Args:
        client: a `BigQueryWriteClient`.
        monotonic: seconds, for the time-outs of appends.
    """

    def __init__(
        self, config: Config, client: Any, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._monotonic = monotonic
        self._paths = {name: table_path(config, name) for name in WRITTEN}
        limits = Limits(appends_in_flight=config.appends_in_flight, timeout_s=config.append_timeout_s)
        self.by_table: Mapping[str, GroupCommit] = {
            name: GroupCommit(self._append(config, name), limits) for name in WRITTEN
        }

    def ping(self) -> None:
        """Asks for one default stream.

        Raises:
            SinkUnavailable: the Storage Write API does not answer, or the table does not exist.
        """
        stream = f"{self._paths['raw_events']}/streams/_default"
        try:
            self._client.get_write_stream(name=stream, timeout=2.0, retry=None)
        except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
            raise SinkUnavailable(f"raw_events: {type(error).__name__}") from error

    def _append(self, config: Config, name: str) -> Append:
        table = tables.table(name)
        columns = {column.name for column in table.columns}
        appender = Appender(
            self._paths[name],
            encoder_for(config.row_encoder, table),
            connector(self._client),
            read_columns=column_reader(self._client),
            stamp=STAMP if STAMP in columns else None,
            monotonic=self._monotonic,
        )

        unknown = UnknownFields(table.id, monotonic=self._monotonic)

        def append_counted(rows: Sequence[Row], *, timeout_s: float) -> Sequence[RejectedRow]:
            rejected = appender.append(rows, timeout_s=timeout_s)
            unknown.count(rows, placed=appender.added)
            return rejected

        return append_counted if EXTRA in columns else appender.append


def table_path(config: Config, name: str) -> str:
    """A table's resource name; RAW_EVENT_TABLE may move the sensor events."""
    return tables.table(name).path(config.project, config.raw_event_table if name == "raw_events" else None)
