"""JSON lines on standard output, as Cloud Logging reads them; no client, no credentials.

Cloud Logging promotes `severity`, `message` and the trace field of such lines
(https://cloud.google.com/logging/docs/structured-logging).
"""

import json
import logging
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TextIO

_CONTEXT: Final[ContextVar[Mapping[str, Any]]] = ContextVar("log_context", default={})  # noqa: B039 - never mutated
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
OWN_PACKAGES: Final = (
    *("pmp_schema", "pmp_runtime", "pmp_curation", "pmp_collector", "pmp_simulator", "pmp_writer"),
    *("pmp_replayer", "pmp_launcher", "pmp_dashboard", "pmp_beam", "pmpctl"),
)
_TRACE_ID: Final = re.compile(r"^[0-9a-f]{32}$")
_QUOTATION: Final = re.compile(r"(?s)^(Invalid request from ip=\S*: [^:]*).*")
_TALLY_NAMES: Final = 20
_TALLY_NAME_CHARS: Final = 64


class CloudJsonFormatter(logging.Formatter):
    """One JSON object a line: severity, message, logger, bound context, the record's `extra`, stack trace."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            **fields(record),
        }
        if record.exc_info:
            line["stack_trace"] = self.formatException(record.exc_info)
        # ASCII only: no locale, lone surrogate or exotic line separator can break a line.
        return json.dumps(line, default=str)


class Unquoted(logging.Filter):
    """Cuts from gunicorn's lines what a client sent: the end of a payload, perhaps, or a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _QUOTATION.sub(r"\1", str(record.msg))
        return True


class Tally:
    """Counts what may happen too often for a line each; one line per interval tells how often it did.

    The first is told at once. What is counted later is told by the next call after the interval, so that the rest of a
    burst may have to wait for one. Names may come from outside: beyond 20 of an interval they count as `...`.

    Args:
        message: of the line.
        interval_s: seconds between two lines.
        monotonic: seconds.
        fields: of every line.
    """

    def __init__(
        self,
        logger: logging.Logger,
        message: str,
        *,
        interval_s: float,
        monotonic: Callable[[], float] = time.monotonic,
        **fields: str,
    ) -> None:
        self._logger = logger
        self._message = message
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._fields = fields
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._due_s = float("-inf")

    def add(self, *names: str) -> None:
        with self._lock:
            for name in names:
                shown = name[:_TALLY_NAME_CHARS]
                is_told = shown in self._counts or len(self._counts) < _TALLY_NAMES
                self._counts[shown if is_told else "..."] += 1
        self.flush()

    def flush(self) -> None:
        """Writes the line, if there is something to tell and the interval is over."""
        with self._lock:
            now_s = self._monotonic()
            if not self._counts or now_s < self._due_s:
                return
            counts, self._counts = self._counts, Counter()
            self._due_s = now_s + self._interval_s
        # No names as keys: each would become a field of the log's index.
        told = [{"name": name, "count": count} for name, count in counts.most_common()]
        self._logger.warning(self._message, extra={**self._fields, "counts": told})


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a line has beside its message: bound context and the record's `extra`."""
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    return {**_CONTEXT.get(), **extra}


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
