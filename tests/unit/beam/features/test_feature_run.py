"""What a run tells of itself."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pmp_beam.station_features.feature_run import Run, attempt, complete, name_run
from pmp_schema.errors import PublishFailed
from pmp_schema.features import FeatureTables
from tests.fakes.duck_warehouse import Duck
from tests.unit.beam.features.test_staging import AS_OF, row

RUN = Run(
    id="r-1",
    attempt_id="r-1-a1b2",
    process="a1b2",
    as_of=AS_OF,
    known_at=datetime(2025, 11, 16, 2, 14, tzinfo=UTC),
)
TIMES = {"as_of": "2025-11-16T02:15:00Z", "known_at": "2025-11-16T02:14:00Z", "engine": "beam"}


class Events:
    """A publisher that keeps what it is given."""

    def __init__(self, fail_with=None):
        self.told = []
        self.fail_with = fail_with

    def publish(self, topic, messages):
        assert topic.key == "ops-events"
        if self.fail_with:
            raise self.fail_with
        self.told += [json.loads(message.data) for message in messages]
        return ["m"] * len(messages)


def short(event):
    return event["id"], event["type"], event["subject"], event["data"]


def test_work_that_goes_well_is_told_to_have_started():
    events = Events()
    assert attempt(RUN, events, lambda: None)
    assert [short(event) for event in events.told] == [
        ("r-1-a1b2-started", "feature_run.started", "r-1", TIMES)
    ]


def test_work_that_fails_is_told_with_its_last_line():
    events = Events()

    def work():
        raise RuntimeError("Traceback ...\n  File ...\nValueError: wrong [while running 'Rows']")

    assert not attempt(RUN, events, work)
    error = "RuntimeError: ValueError: wrong [while running 'Rows']"
    assert short(events.told[-1]) == (
        "r-1-a1b2-failed",
        "feature_run.failed",
        "r-1",
        TIMES | {"error": error},
    )


def test_work_does_not_begin_before_it_is_told():
    with pytest.raises(PublishFailed):
        attempt(RUN, Events(PublishFailed("no")), lambda: pytest.fail("it began"))


class Staged(Duck):
    """Answers for whatever staging table is asked for."""

    def query(self, statement):
        name = RUN.staging(self.tables)
        return super().query(replace(statement, sql=statement.sql.replace(name, self.staging)))


def test_a_completed_run_tells_its_rows_under_one_id_however_often_it_ends():
    duck, events = Staged(), Events()
    duck.insert("staging", [row("s1", 1.0), row("s2", 2.0)])
    for _ in range(2):
        assert complete(RUN, duck, events, duck.tables, written=2) == 2
    succeeded = ("r-1-a1b2-succeeded", "feature_run.succeeded", "r-1", TIMES | {"rows": 2})
    assert [short(event) for event in events.told] == [succeeded] * 2


def test_each_process_has_a_staging_table_of_its_own_beside_the_features():
    tables = FeatureTables.of("my-project")
    name = RUN.staging(tables)
    assert name == "my-project.pmp_features.station_features_staging_r_1_a1b2_a1b2"
    assert replace(RUN, process="c3d4").staging(tables) != name


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (
            "features-beam-20251116t021500z-2",
            ("features-beam-20251116t021500z", "features-beam-20251116t021500z-2"),
        ),
        ("nightly", ("nightly", "nightly-a1b2")),
        ("run-2025", ("run-2025", "run-2025-a1b2")),
        (None, ("features-beam-20251116t021500z", "features-beam-20251116t021500z-a1b2")),
    ],
)
def test_an_attempt_of_the_launcher_belongs_to_its_run(given, named):
    assert name_run(given, AS_OF, "a1b2") == named
