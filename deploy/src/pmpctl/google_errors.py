"""Failures of Google's clients, as one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError

from pmp_runtime.bigquery.queries import FAILURES
from pmpctl.errors import CommandError, no_credentials, one_line


@contextmanager
def readable_failures(service: str = "BigQuery") -> Iterator[None]:
    """Raises:
    CommandError: a client failed; the message is the service's own.
    """
    try:
        yield
    except GoogleAuthError as error:
        raise no_credentials(error) from error
    except FAILURES as error:
        message = error.message if isinstance(error, GoogleAPICallError) else error
        raise CommandError(f"{service}: {one_line(message)}") from error
