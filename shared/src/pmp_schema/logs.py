"""JSON lines on standard output, as Cloud Logging reads them; no client, no credentials.

Cloud Logging promotes `severity`, `message` and the trace field of such lines
(https://cloud.google.com/logging/docs/structured-logging).
"""

import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TextIO

_CONTEXT: Final[ContextVar[Mapping[str, Any]]] = ContextVar("log_context", default={})  # noqa: B039 - never mutated
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
OWN_PACKAGES: Final = ("pmp_schema", "pmp_collector", "pmp_writer", "pmp_replayer", "pmpctl")
_TRACE_ID: Final = re.compile(r"^[0-9a-f]{32}$")


class CloudJsonFormatter(logging.Formatter):
    """One JSON object a line: severity, message, logger, bound context, the record's `extra`, stack trace."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            **_CONTEXT.get(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["stack_trace"] = self.formatException(record.exc_info)
        # ASCII only: no locale, lone surrogate or exotic line separator can break a line.
        return json.dumps(line, default=str)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Adds fields to every line that is logged inside the block, in this thread or task."""
    token = _CONTEXT.set({**_CONTEXT.get(), **fields})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def trace_fields(headers: Mapping[str, str], project: str) -> dict[str, str]:
    """The trace field of a request, from `traceparent` or `X-Cloud-Trace-Context`; empty where there is none."""
    parts = headers.get("Traceparent", "").split("-")
    trace_id = parts[1] if len(parts) > 1 else headers.get("X-Cloud-Trace-Context", "").split("/", 1)[0]
    if not _TRACE_ID.match(trace_id):
        return {}
    return {"logging.googleapis.com/trace": f"projects/{project}/traces/{trace_id}"}


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends all lines to a stream, standard output by default. For entry points only.

    Args:
        level: of our own packages. Libraries stay at WARNING: below it HTTP clients log URLs and headers, which
            may hold keys.
        stream: a text stream.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(CloudJsonFormatter())
    own = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(logging.WARNING, own), handlers=[handler], force=True)
    for package in OWN_PACKAGES:
        logging.getLogger(package).setLevel(own)
