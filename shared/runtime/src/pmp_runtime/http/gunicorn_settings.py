"""gunicorn's settings, the same for every service.

`gunicorn -c python:pmp_runtime.http.gunicorn_settings pmp_writer.wsgi:app`

One worker: Cloud Run scales by instances, and one process shares one append connection. Never `preload_app`: Google's
clients must be made after the fork.
"""

import os
from typing import Any

from pmp_runtime.config import THREADS, count
from pmp_runtime.http import unread_body
from pmp_runtime.logs import CloudJsonFormatter, Unquoted

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8080')}"  # noqa: S104 - a container's port
worker_class = "gthread"
workers = 1
threads = count(os.environ, "THREADS", THREADS)
worker_connections = 432 + threads  # far below the 1,024 files that a process may often open
timeout = 0  # Cloud Run ends requests itself; a worker is never killed with requests in hand
graceful_timeout = 8  # Cloud Run sends SIGKILL 10 s after SIGTERM
keepalive = 75  # longer than the load balancers in front
limit_request_fields = 200  # unwrapped messages bring up to 100 attributes as headers
control_socket_disable = True  # the root file system is read-only
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108 - heartbeat file in memory
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"unquoted": {"()": Unquoted}},
    "formatters": {"json": {"()": CloudJsonFormatter}},
    "handlers": {
        "stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    },
    "loggers": {
        "gunicorn.error": {
            "level": "INFO",
            "filters": ["unquoted"],
            "handlers": ["stdout"],
            "propagate": False,
        }
    },
    "root": {"level": "INFO", "handlers": ["stdout"]},
}


def pre_request(_worker: Any, server_request: Any) -> None:
    """Gunicorn's hook before each request."""
    unread_body.begin(server_request)
