"""From publish to queryable rows, and the process's idle memory: `python -m tests.bench.curation_latency`.

Twenty polls of 1,500 stations, one by one, 2 % of the stations changed, through a curation of its own on a running
stack:

    pmpctl local up --detach --ephemeral --without curation --without scheduler
    eval "$(pmpctl local env)"
"""

import os
import random
import statistics
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from google.cloud import bigquery

from pmp_runtime.bigquery.queries import query_client
from pmp_runtime.pubsub.outgoing import Outgoing
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema.message import Message
from pmp_schema.topology import TOPOLOGY
from pmpctl.project.resources import pubsub_clients
from tests.fakes.curation_history import bikes, message
from tests.fakes.pipeline_process import pipeline_process
from tests.fakes.waiting import eventually

POLLS = 20
STATIONS = 1500
CHANGED = 30
IDLE_S = 30
QUERY = """
SELECT
  (SELECT COUNT(*) FROM pmp_curated.feed_polls WHERE event_id = @id) AS polls,
  (SELECT COUNT(*) FROM pmp_curated.station_status WHERE event_id = @id) AS status_rows
"""


def series(system: str) -> list[Message]:
    """The polls; the first one, in which every station is new, warms up."""
    chance = random.Random(1)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=POLLS + 1)
    counts = {f"{system}-{number}": chance.randrange(30) for number in range(STATIONS)}
    found = []
    for minute in range(POLLS + 1):
        found.append(message(bikes(**counts), start + timedelta(minutes=minute), system=system))
        for station in chance.sample([*counts], CHANGED):
            counts[station] += 1
    return found


def is_there(client: bigquery.Client, event_id: str, rows: int) -> bool:
    parameter = bigquery.ScalarQueryParameter("id", "STRING", event_id)
    config = bigquery.QueryJobConfig(query_parameters=[parameter], use_query_cache=False)
    (row,) = client.query(QUERY, job_config=config, timeout=20).result(timeout=20)
    return (row["polls"], row["status_rows"]) == (1, rows)


def main() -> None:
    project = os.environ["PROJECT_ID"]
    client = query_client(project, os.environ["BIGQUERY_EMULATOR_HOST"])
    publisher = PubSubPublisher(pubsub_clients(os.environ["PUBSUB_EMULATOR_HOST"])[0], project)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "curation.log"
        with pipeline_process(["curate_status"], {}, log) as process:
            eventually(lambda: b"pipeline.started" in log.read_bytes())
            for number, one in enumerate(series(f"bench{uuid.uuid4().hex[:6]}")):
                began = time.monotonic()
                publisher.publish(TOPOLOGY.topics["snapshots"], [Outgoing(one.data, one.attributes)])
                event_id = one.attributes["ce-id"]
                rows = CHANGED if number else STATIONS
                eventually(lambda event_id=event_id, rows=rows: is_there(client, event_id, rows))  # type: ignore[misc]
                seconds.append(time.monotonic() - began)
            busy_mb = process.rss_mb()
            time.sleep(IDLE_S)
            idle_mb = process.rss_mb()
    first, *others = seconds
    p95 = statistics.quantiles(others, n=20, method="inclusive")[-1]
    print(f"{POLLS} polls of {STATIONS} stations, {CHANGED} changed, publish to queryable rows:")
    print(f"median {statistics.median(others):.2f} s, p95 {p95:.2f} s, slowest {max(others):.2f} s")
    print(f"before them one poll of which all is new, to a job without state: {first:.2f} s")
    print(f"resident memory {busy_mb:.0f} MB at the end, {idle_mb:.0f} MB after {IDLE_S} s idle")


if __name__ == "__main__":
    main()
