from datetime import UTC, datetime, timedelta

import pytest

from pmp_launcher.feature_run import Run
from pmp_schema.features.runs import Engine, Status, Wanted

AS_OF = datetime(2025, 11, 16, 2, 15, tzinfo=UTC)


@pytest.fixture
def a_run():
    """A run that has begun, but for what a test says."""

    def make(status=Status.STARTED, *, engine=Engine.SQL, as_of=AS_OF, **fields):
        plain = {
            "wanted": Wanted(engine=engine, as_of=as_of, known_at=AS_OF - timedelta(minutes=1)),
            "executor": "fake",
            "attempt": 1,
            "status": status,
            "requested_at": AS_OF,
            "started_at": AS_OF + timedelta(seconds=1) if status is not Status.REQUESTED else None,
            "finished_at": AS_OF + timedelta(seconds=9) if status.has_ended else None,
        }
        return Run(**plain | fields)

    return make
