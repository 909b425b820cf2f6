"""Beam sources and sinks over the project's own append path, BigQuery's Storage Read API and confirmed publishes.

Beam's own BigQuery connectors cannot be pointed at an emulator. Importing opens no connection; clients are made
where elements are processed, one per process, by the first DoFn that needs one.
"""

from pmp_beam.io.publish import PublishMessages
from pmp_beam.io.read import ReadRows
from pmp_beam.io.storage_read import SourceUnavailable, TableRead, read_rows
from pmp_beam.io.subscription import ReadMessages
from pmp_beam.io.write import RejectedRow, WriteRows

__all__ = [
    "PublishMessages",
    "ReadMessages",
    "ReadRows",
    "RejectedRow",
    "SourceUnavailable",
    "TableRead",
    "WriteRows",
    "read_rows",
]
