"""Makes the history of the curation on a worker."""

from dataclasses import dataclass

import pmp_curation
from pmp_beam.io.storage import once_per_process
from pmp_curation.history import BigQueryHistory, History
from pmp_runtime.bigquery.queries import Queries, query_client


@dataclass(frozen=True, slots=True)
class HistorySource:
    """Makes the history on a worker: a client cannot be pickled, and it costs a connection.

    Attributes:
        project: Google Cloud project id.
        emulator: URL of a BigQuery emulator; None for Google's.
        timeout_s: seconds for one call, retries included.
    """

    project: str
    emulator: str | None
    timeout_s: float

    def __call__(self) -> History:
        return _history(self)


@once_per_process
def _history(source: HistorySource) -> History:
    client = query_client(source.project, source.emulator)
    return BigQueryHistory(Queries(client, pmp_curation.__name__, timeout_s=source.timeout_s))
