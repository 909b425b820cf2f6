"""The services' worker with little patience, so that tests need little time.

`GUNICORN_CMD_ARGS="--worker-class tests.fakes.impatient_worker.ImpatientWorker"`.
"""

from typing import ClassVar

from pmp_runtime.http.arrival import ArrivalLimits
from pmp_runtime.http.worker import WholeRequestWorker

SLOWNESS_S = 1.0


class ImpatientWorker(WholeRequestWorker):
    """Gives up after a second or two."""

    limits: ClassVar[ArrivalLimits] = ArrivalLimits(silence_s=2.0, slowness_s=SLOWNESS_S)
