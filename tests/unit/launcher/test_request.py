import json
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from pmp_launcher.request import read_request
from pmp_schema.features.runs import Engine, Wanted, read_attempt_id, read_run_id

NOW = datetime(2026, 1, 24, 16, 3, 42, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def read(body=b"", schedule_time=None, lacking=MappingProxyType({}), **fields):
    return read_request(
        json.dumps(fields).encode() if fields else body,
        schedule_time,
        now=NOW,
        lacking=lacking,
        default_engine=Engine.SQL,
    )


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_empty_body_is_a_run_as_of_this_minute(body):
    as_of = datetime(2026, 1, 24, 16, 3, tzinfo=UTC)
    assert read(body) == (Wanted(engine=Engine.SQL, as_of=as_of, known_at=NOW - MINUTE), False)


def test_the_schedule_s_time_is_the_as_of_at_every_retry():
    wanted, _ = read(b'{"engine":"beam"}', "2026-01-24T16:00:00.123Z")
    assert (wanted.engine, wanted.as_of) == ("beam", datetime(2026, 1, 24, 16, 0, 0, 123_000, tzinfo=UTC))


def test_what_the_body_says_counts():
    wanted, waits = read(
        schedule_time="2026-01-24T16:00:00Z",
        as_of="2025-12-13",
        known_at="2026-01-01T01:00:00+01:00",
        engine="beam",
        wait=True,
    )
    known_at = datetime(2026, 1, 1, tzinfo=UTC)
    assert wanted == Wanted(engine=Engine.BEAM, as_of=datetime(2025, 12, 13, tzinfo=UTC), known_at=known_at)
    assert waits


def test_a_later_known_at_is_for_provisional_runs_only():
    known_at = NOW - MINUTE + timedelta(microseconds=1)
    with pytest.raises(ValueError, match="known_at: later than now minus 1 minute"):
        read(known_at=known_at.isoformat())
    wanted, _ = read(known_at=known_at.isoformat(), provisional=True)
    assert wanted.known_at == known_at


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"as_of": "yesterday"}, "as_of: the text is not an RFC 3339"),
        ({"as_of": True}, "as_of"),
        ({"as_of": "1999-12-31"}, "as_of: before 2000-01-01"),
        ({"as_of": "2026-01-24T16:05:00Z"}, "as_of: in the future"),
        ({"as_of": "9999-12-31T23:59:59-12:00"}, "as_of: the time is outside"),
        ({"known_at": "?"}, "known_at: the text is not an RFC 3339"),
        ({"engine": "spark"}, "engine"),
        ({"asof": "2026-01-01"}, "asof"),
        ({"wait": "yes"}, "wait"),
    ],
)
def test_a_wrong_field_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        read(**fields)


@pytest.mark.parametrize("body", [b"[]", b"null", b"{", b"\xff", b'"as_of"'])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(ValueError, match=r"."):
        read(body)


def test_a_wrong_schedule_time_is_refused():
    with pytest.raises(ValueError, match="X-CloudScheduler-ScheduleTime"):
        read(schedule_time="soon")


def test_an_engine_without_an_executor_is_refused():
    with pytest.raises(ValueError, match=r"^engine: beam has no executor here: REGION is not set$"):
        read(lacking={Engine.BEAM: "REGION is not set"}, engine="beam")


@pytest.mark.parametrize(
    ("as_of", "run_id"),
    [
        (datetime(2025, 11, 16, 2, 15, tzinfo=UTC), "features-beam-20251116t021500z"),
        (datetime(2025, 11, 16, 2, 15, 0, 7, tzinfo=UTC), "features-beam-20251116t021500000007z"),
    ],
)
def test_a_run_s_id_says_engine_and_as_of_and_nothing_else(as_of, run_id):
    for known_at in (NOW, NOW - MINUTE):
        assert Wanted(engine=Engine.BEAM, as_of=as_of, known_at=known_at).run_id == run_id
    assert read_run_id(run_id) == (Engine.BEAM, as_of)


@pytest.mark.parametrize(
    "run_id", ["", "features-sql-20251316t021500z", "features-sql-20251116t021500z-1", "../features-sql"]
)
def test_what_is_no_id_of_a_run_is_refused(run_id):
    with pytest.raises(ValueError, match=r"."):
        read_run_id(run_id)


def test_an_attempt_s_id_is_the_run_s_and_a_number():
    assert read_attempt_id("features-sql-20251116t021500z-12") == ("features-sql-20251116t021500z", 12)


@pytest.mark.parametrize(
    "text", ["", "features-sql-20251116t021500z", "features-sql-20251116t021500z-0", "run-1", "run-x"]
)
def test_what_is_no_id_of_an_attempt_is_refused(text):
    with pytest.raises(ValueError, match="no id of"):
        read_attempt_id(text)
