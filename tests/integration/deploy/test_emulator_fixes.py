"""What the BigQuery emulator cannot do without fix 4 of `pmpctl.local.emulator_fixes`; the e2e tests need fix 1."""

from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from pmp_runtime.bigquery.append.appender import Appender
from pmp_runtime.bigquery.append.channel import storage_write_channel, write_client
from pmp_runtime.bigquery.append.connection import connector
from pmp_runtime.bigquery.append.encoders import encoder_for
from pmp_schema import tables
from pmp_schema.topology import TOPOLOGY
from pmpctl.project.tables import prepare_tables

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_many_append_streams_are_open_at_the_same_time(clients, emulators):
    prepare_tables(clients.bigquery, TOPOLOGY, location="EU", emulated=True)
    events = tables.table("events")
    path = events.path(clients.bigquery.project)
    now = datetime.now(UTC)
    with ExitStack() as open_streams:
        for number in range(12):
            channel = storage_write_channel(emulators.storage)
            open_streams.callback(channel.close)
            appender = Appender(path, encoder_for("arrow", events), connector(write_client(channel)))
            row = {
                "event_id": f"e-{number}",
                "type": "test",
                "time": now,
                "message_id": "m",
                "publish_ts": now,
            }
            assert appender.append([row], timeout_s=10) == []
