"""Failures of Google's clients, as one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from pmp_runtime.bigquery.queries import FAILURES
from pmpctl.errors import CommandError, one_line


@contextmanager
def readable_failures(service: str = "BigQuery") -> Iterator[None]:
    """Raises:
    CommandError: a client failed; the message is the service's own.
    """
    try:
        yield
    except FAILURES as error:
        raise CommandError(f"{service}: {one_line(getattr(error, 'message', '') or error)}") from error
