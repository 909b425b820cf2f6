"""`gunicorn -c python:pmp_runtime.http.gunicorn_settings pmp_dashboard.wsgi:app`: the only module with side effects."""

import os

from google.cloud import bigquery

from pmp_dashboard.app import create_app
from pmp_dashboard.config import Config
from pmp_dashboard.marts import Marts
from pmp_runtime import logs
from pmp_runtime.bigquery.queries import query_client

config = Config.from_env(os.environ)
logs.configure(config.log_level)
client = query_client(config.project, config.bigquery_emulator)
client.default_query_job_config = bigquery.QueryJobConfig(maximum_bytes_billed=config.max_bytes_billed)
marts = Marts(client, timeout_s=config.query_timeout_s)
app = create_app(marts, project=config.project, check_ready=marts.ping, fresh_s=config.fresh_s)
