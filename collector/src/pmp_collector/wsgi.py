"""`gunicorn -c python:pmp_runtime.http.gunicorn_settings pmp_collector.wsgi:app`: the only module with side effects."""

import os
import time

import stamina.instrumentation
from google.pubsub_v1 import PublisherClient

from pmp_collector.app import create_app
from pmp_collector.config import Config
from pmp_collector.fetch import Fetcher, http_client
from pmp_collector.poll import Poller
from pmp_collector.poll_events import SOURCE, publish_polls
from pmp_collector.sensor_simulation import SensorSimulation
from pmp_runtime import logs
from pmp_runtime.pubsub.publisher import PubSubPublisher
from pmp_schema.topology import TOPOLOGY

config = Config.from_env(os.environ)
logs.configure(config.log_level)
stamina.instrumentation.set_on_retry_hooks([])  # one log line per poll, none per attempt
publisher = PubSubPublisher(
    PublisherClient(), config.project, source=SOURCE, timeout_s=config.publish_timeout_s
)
fetcher = Fetcher(
    http_client(connect_timeout_s=config.connect_timeout_s, read_timeout_s=config.read_timeout_s),
    max_body_bytes=config.max_body_bytes,
    attempts=config.fetch_attempts,
)
app = create_app(
    Poller(config.systems, fetcher.get, publisher, time.monotonic),
    SensorSimulation(publisher, config.sensor_topic).run,
    lambda results: publish_polls(publisher, results),
    project=config.project,
    check_ready=lambda: publisher.ping(TOPOLOGY.topics["snapshots"]),
    flush_counts=publisher.flush_counts,
)
